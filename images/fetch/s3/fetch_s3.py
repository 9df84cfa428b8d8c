"""Put a model from an S3 bucket onto a volume: whole, verified, once on the disk.

    python3 -m fetch_s3

The object SHA256SUMS beside the model's files says which files there are, and what they must be. object_download.py
does the work, and download_settings.py documents the environment.
"""

import sys

import download_program
import object_download
from download_settings import DownloadSettings
from s3_bucket import S3Bucket


def main() -> int:
    """Return the exit code."""
    return download_program.main(attempt)


def attempt(download: DownloadSettings) -> None:
    """Do what is left to do once. Raises Failed, or OSError for the volume's own errors."""
    object_download.attempt(download, S3Bucket(download))


if __name__ == "__main__":
    sys.exit(main())
