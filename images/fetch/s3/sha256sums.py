"""The list of digests that `sha256sum` writes.

Format: 64 hexadecimal digits, a space, a space or `*`, and the name; of a name with a backslash or a line break the
line begins with a backslash (coreutils, "cksum output modes").
"""

import re

from failure import Failed

NAME = "SHA256SUMS"
LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?(.+)")
MOST_BYTES = 16 << 20
"""Of the list: more than a hundred thousand files."""


def read(content: bytes, place: str) -> dict[str, str]:
    """Return the SHA-256 of each file by its path. Raises Failed for what is no such list."""
    digests: dict[str, str] = {}
    for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        found = LINE.fullmatch(line)
        if not found:
            raise Failed(
                f"Line {number} of {NAME} at {place} is no digest and name, as sha256sum writes them: make the list "
                "again, of files whose names have no line break and no backslash."
            )
        if found[2] != NAME:
            digests[found[2]] = found[1].lower()
    if not digests:
        raise Failed(f"{NAME} at {place} names no file: make it of the model's files.")
    return digests
