"""The bill of materials of an image: the Python packages of its lock, as CycloneDX 1.6 has them."""

import json
import re
from urllib.parse import quote

PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)
"""A line of a lock that begins a package. Its hashes follow on lines of their own."""


def bill_of_materials(image: str, base: str, lock: str) -> str:
    """Return the bill for an image built from `base` and the packages of a lock; equal input makes an equal bill.

    It has no hashes: a lock lists those of every platform's file, and not which one was installed.
    """
    stands_on = {"type": "container", "bom-ref": "base", "name": base}
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": "image", "name": image}},
        "components": [stands_on, *(_package(name, version) for name, version in PIN.findall(lock))],
    }
    return json.dumps(bill, indent=1) + "\n"


def _package(name: str, version: str) -> dict[str, str]:
    address = f"pkg:pypi/{name.lower().replace('_', '-')}@{quote(version)}"
    return {"type": "library", "bom-ref": address, "name": name, "version": version, "purl": address}
