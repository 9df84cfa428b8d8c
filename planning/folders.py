"""The folders of a volume. Several stacks may share one, so different things never get the same folder."""

import hashlib
import json

from planning.settings.addresses import owner_and_name
from planning.settings.sections import Model

CACHE = "cache"
"""Holds the compile caches, beside the folders of the models."""

SLASH = "+"
"""Stands for a slash of a revision in the name of its folder. The stack file takes no revision with this character."""


ADOPTED = "adopted"
"""Holds the manifests of folders that somebody else filled (images/fetch/adopt.py)."""


def model_folder(model: Model) -> str:
    """Return the folder that somebody filled, else that of the revision: two path segments, no two with the same."""
    return model.folder or f"{model.short_name}/{model.revision.replace('/', SLASH)}"


def cache_folder(model: Model) -> str:
    """Return the folder of what is compiled for a model's revision, whatever the image.

    The host of the repository does not count: in one folder of a model there is one commit, wherever it came from.
    """
    source = json.dumps([model_folder(model), owner_and_name(model.repository)])
    return f"{CACHE}/{hashlib.sha256(source.encode()).hexdigest()[:16]}"
