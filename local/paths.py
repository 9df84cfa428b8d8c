"""Where the embedded cluster keeps its files; nothing is ever written into the checkout.

What was built or downloaded lies in the cache and may be deleted at any time (while the cluster is down); what belongs
to one cluster lies in the state folder.
"""

import os
from collections.abc import Mapping
from pathlib import Path

PROJECT = "deepseek-on-kubernetes"


def xdg_folder(environment: Mapping[str, str], variable: str, default: str) -> Path:
    """Our folder under an XDG base directory; a relative value counts as unset, as the specification says."""
    value = environment.get(variable, "")
    base = Path(value) if value.startswith("/") else Path(environment["HOME"]) / default
    return base / PROJECT


CHECKOUT = Path(__file__).resolve().parent.parent
GO_MODULES = CHECKOUT / "local" / "go"

CACHE = xdg_folder(os.environ, "XDG_CACHE_HOME", ".cache")
PROGRAMS = CACHE / "programs"
GO_BUILD_CACHE = CACHE / "go-build"
REGISTRY_STORAGE = CACHE / "registry"

STATE = xdg_folder(os.environ, "XDG_STATE_HOME", ".local/state")
LOGS = STATE / "logs"
