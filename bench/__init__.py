"""Benchmarks. What they measure are programs of pods, whose modules are top-level ones there."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "local" / "git-server"))
