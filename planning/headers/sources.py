"""Where the files of a repository are read: in a folder, or at a host of models by HTTP range requests."""

import json
import re
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from planning.headers.faults import BadRepository

TIMEOUT = 60
"""Seconds for one answer."""
LARGEST_TEXT = 200_000_000
"""Bytes of a JSON file; the index of 163 safetensors files has 9 MB."""
INDEX = "model.safetensors.index.json"
ALONE = "model.safetensors"


class Source(Protocol):
    """Files of one commit of a repository."""

    def size(self, file: str) -> int:
        """Bytes of a file. Raises FileNotFoundError, or BadRepository."""
        ...

    def read(self, file: str, start: int, length: int) -> bytes:
        """That many bytes from `start` on. Raises FileNotFoundError, or BadRepository if there are fewer."""
        ...


@dataclass(frozen=True)
class Folder:
    """A folder with the files of a repository, as a download leaves it."""

    path: Path

    def size(self, file: str) -> int:
        """Bytes of a file."""
        return (self.path / file).stat().st_size

    def read(self, file: str, start: int, length: int) -> bytes:
        """Read a part of a file."""
        with (self.path / file).open("rb") as opened:
            opened.seek(start)
            return _whole(file, opened.read(length), length)


@dataclass(frozen=True)
class Host:
    """A repository at a host that has its files below `/resolve/REVISION/`, as huggingface.co and its mirrors do."""

    address: str
    """Of the repository, without `.git`."""
    revision: str
    token: str | None = None
    """Sent to https addresses only, and to no address that a host redirects to."""

    def size(self, file: str) -> int:
        """Bytes of a file."""
        headers, _ = self._get(file, 0, 1)
        found = re.fullmatch(r"bytes 0-0/(\d+)", headers.get("Content-Range", ""))
        if found is None:
            raise BadRepository(file, "Content-Range", f"{headers.get('Content-Range')}", "bytes 0-0 and the size")
        return int(found[1])

    def read(self, file: str, start: int, length: int) -> bytes:
        """Read a part of a file."""
        return _whole(file, self._get(file, start, length)[1], length)

    @property
    def commit(self) -> str | None:
        """The commit behind the revision, if the host says it."""
        return self._get("config.json", 0, 1)[0].get("X-Repo-Commit")

    def _get(self, file: str, start: int, length: int) -> tuple[HTTPMessage, bytes]:
        address = f"{self.address}/resolve/{quote(self.revision)}/{quote(file)}"
        request = Request(address, headers={"Range": f"bytes={start}-{start + length - 1}"})
        if self.token and address.startswith("https://"):
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        try:
            with urlopen(request, timeout=TIMEOUT) as answer:
                if answer.status != 206:
                    right = "206: the host has no range requests; download the repository and name its FOLDER"
                    raise BadRepository(file, "status", f"{answer.status}", right)
                return answer.headers, answer.read(length)
        except HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(file) from None
            raise BadRepository(file, "status", f"{error.code} from {address}", "206") from None
        except (URLError, HTTPException, OSError) as error:
            raise BadRepository(file, "answer", f"{error} from {address}", "a part of the file") from None


def _whole(file: str, found: bytes, length: int) -> bytes:
    if len(found) != length:
        raise BadRepository(file, "length", f"{len(found):,} bytes", f"{length:,}")
    return found


def read_json(source: Source, file: str) -> dict[str, Any]:
    """Read a whole JSON file. Raises FileNotFoundError, or BadRepository."""
    size = source.size(file)
    if size > LARGEST_TEXT:
        raise BadRepository(file, "length", f"{size:,} bytes", f"{LARGEST_TEXT:,} at most")
    return parsed_object(file, source.read(file, 0, size), "the file", "an object")


def parsed_object(file: str, text: bytes, field: str, right: str) -> dict[str, Any]:
    """Parse an object that names each of its parts once. Raises BadRepository, of that field of the file."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise BadRepository(file, name, "named twice", "once")
            found[name] = value
        return found

    try:
        found: object = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise BadRepository(file, field, f"no JSON ({error})", right) from None
    if not isinstance(found, dict):
        raise BadRepository(file, field, "no object", right)
    return cast("dict[str, Any]", found)


def weight_files(source: Source) -> dict[str, frozenset[str] | None]:
    """The safetensors files of a repository, each with the tensors that its index has in it; None without an index."""
    try:
        index = read_json(source, INDEX)
    except FileNotFoundError:
        return {ALONE: None}
    placed = index.get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise BadRepository(INDEX, "weight_map", f"{placed!r}", "an object: of each tensor, its file")
    files: dict[str, set[str]] = {}
    for name, file in cast("dict[str, object]", placed).items():
        if not isinstance(file, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", file):
            raise BadRepository(INDEX, f"weight_map.{name}", f"{file!r}", "the name of a file beside the index")
        files.setdefault(file, set()).add(name)
    return {file: frozenset(names) for file, names in sorted(files.items())}
