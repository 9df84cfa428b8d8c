"""What GitHub's Markdown parser makes of a comment: which tags, and which text stands outside of code."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, cast

import cmarkgfm  # pyright: ignore[reportMissingTypeStubs]

if TYPE_CHECKING:
    from collections.abc import Callable

RAW_HTML = 1 << 17
"""CMARK_OPT_UNSAFE: GitHub lets HTML through and cleans it later."""


@dataclass
class Shown:
    """A comment as it is shown."""

    tags: list[str] = field(default_factory=list[str])
    """Every tag that begins, in order."""

    attributes: list[str] = field(default_factory=list[str])
    outside: str = ""
    """Text that stands in no code: here GitHub looks for mentions, references and addresses."""

    code: list[str] = field(default_factory=list[str])
    """The text of each code span and code block."""

    comments: list[str] = field(default_factory=list[str])


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown = Shown()
        self._in_code = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shown.tags.append(tag)
        self.shown.attributes += [f"{tag} {name}={value}" for name, value in attrs]
        if tag == "code":
            self._in_code = True
            self.shown.code.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_code = self._in_code and tag != "code"

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.shown.code[-1] += data
        else:
            self.shown.outside += data

    def handle_comment(self, data: str) -> None:
        self.shown.comments.append(data)


def shown(markdown: str) -> Shown:
    """Render a comment as GitHub does, raw HTML included."""
    reader = _Reader()
    render = cast("Callable[..., str]", cmarkgfm.github_flavored_markdown_to_html)  # pyright: ignore[reportUnknownMemberType]
    reader.feed(render(markdown, options=RAW_HTML))
    reader.close()
    return reader.shown
