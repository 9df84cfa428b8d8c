"""The bill of materials in an image names every package of its lock, and nothing else."""

import json

import pytest

from components.image.bill_of_materials import bill_of_materials
from components.image.image_build import BILL, context
from tests.unit.images.test_serving_requirements import LOCKS, versions
from tests.unit.images.test_tags import recipes


@pytest.mark.parametrize(
    ("lock", "variant"), [(LOCKS[0], "cpu"), (LOCKS[1], "cuda"), ("../fetch/requirements.txt", "fetch")]
)
def test_every_package_of_the_lock_is_in_the_image_s_bill(lock: str, variant: str) -> None:
    recipe = recipes()[variant]
    bill = json.loads(context(recipe)[BILL])
    base, *packages = bill["components"]
    assert {item["name"]: item["version"] for item in packages} == versions(lock)
    assert base["name"] == recipe.base
    assert len({item["bom-ref"] for item in bill["components"]}) == len(bill["components"])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")


def test_packages_have_addresses_by_which_scanners_know_them() -> None:
    bill = json.loads(bill_of_materials("image", "base", "# by a tool\nFoo_bar[x]==1.0+cpu \\\n    --hash=sha256:00\n"))
    assert [item["purl"] for item in bill["components"][1:]] == ["pkg:pypi/foo-bar@1.0%2Bcpu"]
