"""The kinds of places that weights come from, and what of the stack file means something else in each."""

import re
from dataclasses import dataclass

COMMIT = "[0-9a-f]{40}|[0-9a-f]{64}"
SHA256 = "[0-9a-f]{64}"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One kind of place."""

    schemes: tuple[str, ...]
    """How its addresses begin."""
    encrypted: tuple[str, ...]
    """Those of the schemes with which nobody on the way can read the token."""
    form: str
    """Of an address, for a message."""
    pin: str
    """What kind of revision always names the same files."""
    pins: str
    """Pattern of such a revision."""
    read: str
    """What somebody has read who lets Python files of the weights run."""
    at: str
    """What such files are at, before the revision."""
    token: str = ""
    """Form of `modelToken`, where it has two parts."""
    token_is: str = ""
    """What that is."""

    def is_pinned(self, revision: str) -> bool:
        """Whether the revision always names the same files."""
        return re.fullmatch(self.pins, revision) is not None

    def takes_token(self, token: str) -> bool:
        """Whether the text has the form of a token."""
        first, _, second = token.partition(":")
        return not self.token or bool(first and second)


GIT = Source(
    schemes=("https://", "http://", "ssh://", "git://"),
    encrypted=("https://",),
    form="https://HOST/OWNER/NAME",
    pin="a commit",
    pins=COMMIT,
    read="the full commit whose Python files you have read",
    at="commit",
)
S3 = Source(
    schemes=("s3://", "s3+https://", "s3+http://"),
    encrypted=("s3://", "s3+https://", "s3+http://"),  # of the key only signatures are sent
    form="s3://BUCKET/FOLDER or s3+https://HOST/BUCKET/FOLDER",
    pin="the SHA-256 of SHA256SUMS",
    pins=SHA256,
    read="the SHA-256 of SHA256SUMS beside the Python files that you have read",
    at="SHA256SUMS",
    token="KEY_ID:SECRET",  # noqa: S106 - its form
    token_is="key of an S3 store",  # noqa: S106
)
OCI = Source(
    schemes=("oci://", "oci+http://"),
    encrypted=("oci://",),
    form="oci://HOST/NAME",
    pin="the digest of a manifest",
    pins=SHA256,
    read="the digest of the manifest whose Python files you have read",
    at="digest",
    token="USER:PASSWORD",  # noqa: S106
    token_is="login of a registry",  # noqa: S106
)


def source_of(address: str) -> Source:
    """Return the kind of place that an address is of; Git for an address of no known kind, which is refused later."""
    return next((source for source in (S3, OCI) if address.startswith(source.schemes)), GIT)
