"""The line of the comment that has what was measured, and what is predicted of the same load."""

from typing import Any

import pytest

from planning.parse import parse
from planning.plan import predicted_tokens_per_second
from planning.review.comment import comment
from planning.review.measured import measured
from planning.review.preview import Preview
from tests.unit.planning.stacks import raw

OUTPUT: dict[str, Any] = {
    "tokensPerSecond": 812.3,
    "requestsAtOnce": 64.0,
    "inputTokens": 1024.0,
    "outputTokens": 256.0,
    "measuredAt": "2026-11-26T22:00:00Z",
    "predictedTokensPerSecond": 1040.0,
    "previous": {"tokensPerSecond": 798.0, "measuredAt": "2026-11-20T10:00:00Z"},
    "failed": 0.0,
}
"""As the engine keeps it: every number is a float."""

MEASURED = (
    "**Measured 812.3 tokens/s** at `2026-11-26T22:00:00Z`, with 64 requests at once of 1,024 tokens and answers of "
    "256. Predicted for it: 1,040 tokens/s. Measured before, at `2026-11-20T10:00:00Z`: 798 tokens/s."
)


def test_the_last_figures_stand_beside_the_prediction_of_the_change() -> None:
    def predicted(nodes: int) -> float:
        settings = parse(raw(hardware={"nodes": nodes}))
        rate = predicted_tokens_per_second(settings, 64, prompt_tokens=1024, answer_tokens=256)
        assert rate
        told = f"{MEASURED} **Predicted of this change: {rate:,.10g} tokens/s.**"
        assert measured(OUTPUT, settings) == told
        return rate

    assert predicted(nodes=4) != predicted(nodes=8)


def test_the_prediction_is_of_the_load_that_was_measured_whatever_the_file_says_now() -> None:
    assert measured(OUTPUT, parse(raw(benchmark={"inputTokens": 9}))) == measured(OUTPUT, parse(raw()))
    assert measured({**OUTPUT, "inputTokens": 8000.0}, parse(raw())) != measured(OUTPUT, parse(raw()))


@pytest.mark.parametrize("settings", [None, parse(raw(hardware={"nodes": 2}))], ids=["unreadable", "does not fit"])
def test_without_a_prediction_the_figures_stand_alone(settings: Any) -> None:
    assert measured(OUTPUT, settings) == MEASURED


def test_a_number_of_requests_that_is_not_predicted_has_its_figures() -> None:
    text = measured({**OUTPUT, "requestsAtOnce": 1.0, "predictedTokensPerSecond": None, "previous": None}, None)
    assert text.endswith("with 1 request at once of 1,024 tokens and answers of 256.")
    assert "Predicted" not in measured({**OUTPUT, "requestsAtOnce": 63.0}, parse(raw())).split("Measured before")[1]


def test_what_was_not_measured_is_said() -> None:
    assert measured({}, None) == ""
    assert measured({"problem": "the tool ended"}, None) == "**Not measured:** `the tool ended`"
    without = {key: value for key, value in OUTPUT.items() if key != "measuredAt"}
    assert "`measuredAt`" in measured(without, None)


def test_the_comment_has_it_from_the_state_and_none_of_its_text_is_read_as_markdown() -> None:
    outputs = {"benchmark": {**OUTPUT, "measuredAt": "**now** @all"}}
    step = {"op": "same", "urn": "urn:pulumi:s::deepseek::pulumi:pulumi:Stack::s", "oldState": {"outputs": outputs}}
    text = comment(Preview.model_validate({"steps": [step]}))
    assert "**Measured 812.3 tokens/s** at `**now** @all`," in text


def test_a_prediction_is_of_a_load() -> None:
    settings = parse(raw())

    def predicted(requests: int, prompt: int = 1024, answer: int = 256) -> float | None:
        return predicted_tokens_per_second(settings, requests, prompt_tokens=prompt, answer_tokens=answer)

    one, many = predicted(1), predicted(64)
    assert one
    assert many
    assert one < many
    assert predicted(64, 8000, 100) != predicted(64, 100, 8000)
    assert predicted(63) is None, "no such number is predicted"
