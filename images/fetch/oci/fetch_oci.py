"""Put a model from an OCI registry onto a volume: whole, verified, once on the disk.

    python3 -m fetch_oci

The artifact's manifest says which files there are, and their digests. object_download.py does the work, and
download_settings.py documents the environment.
"""

import sys

import download_program
import object_download
from download_settings import DownloadSettings
from oci_artifact import OciArtifact


def main() -> int:
    """Return the exit code."""
    return download_program.main(attempt)


def attempt(download: DownloadSettings) -> None:
    """Do what is left to do once. Raises Failed, or OSError for the volume's own errors."""
    object_download.attempt(download, OciArtifact(download))


if __name__ == "__main__":
    sys.exit(main())
