"""The recorded flags of vLLM, and what its parser says of 2,000 spellings, are those of the serving image."""

import pytest

from tests.serving import vllm_parser


@pytest.mark.usefixtures("served")
def test_flags_and_verdicts_are_those_of_vllms_parser_in_the_image() -> None:
    for path, text in vllm_parser.asked(vllm_parser.in_pod()).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: python -m tests.recorders.record_flags"
