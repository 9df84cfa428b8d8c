"""Serve the tiny model as a Git LFS repository: what the pod of this folder's kustomization runs.

    python3 serve_tiny_model.py /srv/git --host 0.0.0.0 --port 8080

Generates DeepSeek-V3-tiny.git below the folder first, if it is not there.
"""

import sys
import tempfile
from pathlib import Path

import lfs_repository
import lfs_server
import tiny_model

NAME = "DeepSeek-V3-tiny.git"


def generate(root: Path) -> str:
    """Make the repository below `root`; returns its commit, the same one every time."""
    with tempfile.TemporaryDirectory(dir=root) as folder:
        tiny_model.write_model(Path(folder))
        return lfs_repository.commit(root / NAME, Path(folder))


if __name__ == "__main__":
    root = Path(sys.argv[1])
    if not (root / NAME).exists():
        print(f"Generated {NAME} at commit {generate(root)}", flush=True)
    lfs_server.main()
