"""The figures of all benchmarks, in one file."""

import json
from typing import Any

from local.paths import CHECKOUT

FILE = CHECKOUT / "bench" / "results.json"


def add(figures: dict[str, Any]) -> None:
    """Put figures into the file, over those of the same names."""
    found: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    FILE.write_text(json.dumps(found | figures, indent=1, sort_keys=True) + "\n")
