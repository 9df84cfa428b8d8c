"""What a program that downloads objects says of their source."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from inventory import Inventory, ModelFile


class Source(Protocol):
    """A place with a model's files, and their digests.

    Every method raises Failed, or Interrupted where another attempt may help; none of them a library's own error.
    """

    address: str
    """Where the files are, as the marker keeps it."""

    def resolve(self) -> str:
        """Return the digest that the configured revision names now."""
        ...

    def inventory(self) -> Inventory:
        """Return the files with sizes and SHA-256 digests, and as `commit` what `resolve` returns."""
        ...

    def open(self, file: ModelFile, offset: int) -> AbstractContextManager[Iterator[bytes]]:
        """Give the content of a file from a byte on, in pieces."""
        ...
