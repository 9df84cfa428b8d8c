"""Serve the tiny model as a Git LFS repository: what the pod of this folder's kustomization runs.

    python3 serve_tiny_model.py /srv/git --host 0.0.0.0 --port 8080

Generates DeepSeek-V3-tiny.git below the folder first, if it is not there. Its branch `without-weights` has everything
but the weights, for the tests of what goes wrong.
"""

import sys
import tempfile
from pathlib import Path

import lfs_repository
import lfs_server
import tiny_model

NAME = "DeepSeek-V3-tiny.git"
WITHOUT_WEIGHTS = "without-weights"


def generate(root: Path) -> str:
    """Make the repository below `root`; returns the commit of `main`, the same one every time."""
    with tempfile.TemporaryDirectory(dir=root) as folder:
        files = Path(folder)
        tiny_model.write_model(files)
        commit = lfs_repository.commit(root / NAME, files)
        for path in files.glob("*.safetensors*"):
            path.unlink()
        lfs_repository.commit(root / NAME, files, WITHOUT_WEIGHTS)
        return commit


if __name__ == "__main__":
    root = Path(sys.argv[1])
    if not (root / NAME).exists():
        print(f"Generated {NAME} at commit {generate(root)}", flush=True)
    lfs_server.main()
