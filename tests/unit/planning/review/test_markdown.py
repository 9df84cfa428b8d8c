"""Nothing that a stack file holds is read as Markdown or HTML: shown by GitHub's own parser, over hostile texts."""

import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.review.comment import comment, marker, no_preview
from planning.review.markdown import HIDDEN, cell, code, fenced
from planning.review.preview import Preview
from tests.unit.planning.shown import shown

MARK = "Zq7x"
"""Stands in every hostile text; found outside of code, the text has come out."""

TRICKS = (
    "`", "``", "```", "~~~", "|", "\\", "\\|", "\\\\|", "\n", "\r", "\r\n", "\n\n", "\u2028", "\x85", "\x0b", "\t", " ",
    "@octocat", "#123", "GH-123", "owner/repo#1", "cc16957", "https://e.example", "www.e.example", "a@e.example",
    "<b>", "</details>", "</code>", "<!--", "-->", "<img src=x onerror=y>", "<script>", "&#96;", "&lt;", "&",
    "[x](javascript:y)", "![x](https://e.example)", "[x]: https://e.example", "*", "**", "_", "~~", "$", "# ", "> ",
    "- ", "1. ", "    ", "|---|", "---", "\u202e", "\u2066", "\u200b", "\ufeff", "\x00", "\x1b[31m", "\ud800",
    "\u05d0", "\u0627", "e\u0301\u0301", "ü", "x" * 9_000, MARK,
)  # fmt: skip
HOSTILE = st.lists(st.sampled_from(TRICKS) | st.text(max_size=3), max_size=12).map(lambda parts: MARK + "".join(parts))
EXAMPLES = settings(max_examples=300, deadline=None)

TAGS = {"h3", "p", "strong", "code", "pre", "ul", "li", "details", "summary"}
ATTRIBUTES = {"td align=right", "th align=right", "pre lang=text"}
TABLE = {"table", "thead", "tbody", "tr", "th", "td"}


@EXAMPLES
@given(HOSTILE)
def test_a_text_does_not_leave_its_code_span(text: str) -> None:
    page = shown(f"- before {code(text)} between {code(text)} after\n- next")
    assert page.tags == ["ul", "li", "code", "code", "li"]
    assert page.outside.split() == ["before", "between", "after", "next"]
    assert page.code[0] == page.code[1]


@EXAMPLES
@given(HOSTILE, HOSTILE)
def test_a_text_does_not_leave_its_cell(first: str, second: str) -> None:
    table = f"| a | b |\n|---|---|\n| {cell(first)} | **{cell(second)}** |\n| c | d |"
    page = shown(table)
    assert [tag for tag in page.tags if tag in {"tr", "th", "td"}] == ["tr", "th", "th", *(["tr", "td", "td"] * 2)]
    assert set(page.tags) == TABLE | {"code", "strong"}
    assert page.outside.split() == ["a", "b", "c", "d"]


@EXAMPLES
@given(HOSTILE)
def test_a_text_does_not_leave_its_block(text: str) -> None:
    page = shown(f"before\n\n{fenced(text)}\n\nafter")
    assert page.tags == ["p", "pre", "code", "p"]
    assert page.outside.split() == ["before", "after"]


@EXAMPLES
@given(st.text())
def test_what_cannot_be_seen_is_shown_by_its_number(text: str) -> None:
    for rendered in (code(text), cell(text), fenced(text)):
        assert not [letter for letter in rendered if letter != "\n" and _category(letter) in HIDDEN]


@pytest.mark.parametrize("letter", ["\u115f", "\u1160", "\u2800", "\u3164", "\uffa0"])
def test_a_letter_that_is_drawn_as_nothing_is_shown_by_its_number(letter: str) -> None:
    assert code(f"a{letter}b") == f"`a\\u{ord(letter):04x}b`"


@pytest.mark.parametrize("text", ["a b", "x|y", "`x`", "``", "model.revision: main is not a commit", "tensor 8 × 4"])
def test_a_harmless_text_is_shown_as_it_is(text: str) -> None:
    assert shown(code(text)).code == [text]
    assert shown(fenced(text)).code == [text + "\n"]


def test_a_number_and_its_unit_need_no_code() -> None:
    assert [cell(text) for text in ("43.4 GiB", "815,600", "1286Gi", "")] == ["43.4 GiB", "815,600", "1286Gi", ""]


def _category(letter: str) -> str:
    return unicodedata.category(letter)


def preview(text: str) -> Preview:
    """A preview with that text wherever the stack file, the cluster or the program may put it."""
    urn = "urn:pulumi:{}::deepseek::{}::{}"
    part = text.replace("::", "")
    sections: dict[str, Any] = {
        "model": {"repository": text, "revision": text, "precision": "fp8", "architecture": {"num_hidden_layers": 61}},
        "hardware": {"gpu": text, "gpusPerNode": 8, "nodes": 4, "gpuMemoryGiB": 79},
        "storage": {"size": "3Ti", "storageClass": text},
        "image": {"push": text},
        "serving": {"extraArgs": [text]},
    }
    plan = {"GPU": text, text: text, "KV tokens": text}
    steps: list[dict[str, Any]] = [
        {
            "op": "same",
            "urn": urn.format(part, "pulumi:pulumi:Stack", "x"),
            "oldState": {"outputs": {"plan": plan}},
        },
        {
            "op": "create",
            "urn": urn.format(part, "kubernetes:batch/v1:Job", f"build-{text}"),
        },
        {
            "op": "update",
            "urn": urn.format(part, f"a:b:{part}", text),
            "detailedDiff": {f"{text}{number}": {} for number in range(6)},
        },
    ]
    said = [{"severity": severity, "message": f"{severity}: {text}"} for severity in ("warning", "error")]
    document: dict[str, Any] = {
        "config": {f"deepseek:{name}": json.dumps(value) for name, value in sections.items()},
        "steps": steps,
        "diagnostics": said,
        "changeSummary": {"update": 1},
    }
    return Preview.model_validate(document)


@EXAMPLES
@given(HOSTILE, st.booleans())
def test_no_text_of_a_stack_file_leaves_its_place_in_the_comment(text: str, refused: bool) -> None:  # noqa: FBT001
    read = preview(text)
    if not refused:
        read = read.model_copy(update={"diagnostics": read.diagnostics[:1]})
    rendered = comment(read, text, left_out=[text] * 30)
    page = shown(rendered)
    assert len(rendered) < 65_536
    assert MARK not in page.outside
    assert set(page.tags) <= TAGS | TABLE
    assert set(page.attributes) <= ATTRIBUTES
    assert page.tags.count("table") == 1
    rows = page.tags.count("tr")
    assert (page.tags.count("th"), page.tags.count("td")) == (3, 3 * (rows - 1))
    assert page.tags.count("details") == (0 if refused else 1)


@EXAMPLES
@given(HOSTILE)
def test_a_reason_for_no_preview_leaves_no_block_either(text: str) -> None:
    page = shown(no_preview(text, text))
    assert MARK not in page.outside
    assert page.tags == ["h3", "code", "p", "strong", "code", "pre", "code"]


@given(HOSTILE)
def test_the_first_line_is_one_comment_whatever_the_stack_is_called(stack: str) -> None:
    assert re.fullmatch(r"<!-- deepseek-on-kubernetes preview of [\w.-]+ -->", marker(stack), re.ASCII)
