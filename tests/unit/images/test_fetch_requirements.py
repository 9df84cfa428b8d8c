"""The lock of the download image: pinned by hash, free of addresses, and tried with the packages that the image has."""

import pytest

from tests.unit.images.test_serving_requirements import ADDRESS, PIN, ROOT, requirements

LOCK = ROOT / "images" / "fetch" / "requirements.txt"


def test_every_requirement_is_pinned_by_version_and_hash() -> None:
    found = requirements(LOCK.read_text())
    assert found
    assert [line for line in found if not PIN.fullmatch(line)] == []


@pytest.mark.parametrize("suffix", [".in", ".txt"])
def test_people_install_from_their_own_mirror(suffix: str) -> None:
    assert ADDRESS.findall(LOCK.with_suffix(suffix).read_text()) == []


def test_the_programs_are_tested_with_the_versions_of_the_image() -> None:
    locks = (ROOT / "requirements-dev.txt", ROOT / "images" / "fetch" / "requirements-dev.txt")
    ours = {line.partition(" ")[0] for lock in locks for line in requirements(lock.read_text())}
    assert {line.partition(" ")[0] for line in requirements(LOCK.read_text())} <= ours
