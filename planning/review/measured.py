"""What the last `up` has measured, beside what the plan predicts of the proposed stack."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from planning.plan import predicted_tokens_per_second
from planning.review.markdown import code
from planning.settings.sections import StackSettings
from planning.settings.sections.benchmark import Tokens


class _Part(BaseModel):
    """A part of the output; what is not shown here may be anything."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class Earlier(_Part):
    """A measurement before the last one."""

    tokens_per_second: float
    measured_at: str


class Measured(_Part):
    """The stack output `benchmark`, as docs/benchmark.md describes it."""

    tokens_per_second: float
    requests_at_once: Tokens
    input_tokens: Tokens
    output_tokens: Tokens
    measured_at: str
    predicted_tokens_per_second: float | None = None
    previous: Earlier | None = None


def measured(benchmark: Mapping[str, object], settings: StackSettings | None) -> str:
    """Return one line with the last measurement, and what the plan predicts of the same load after the change.

    `benchmark` is the output of the last `up`; the line is empty where that has none. `settings` are the proposed ones,
    None where they could not be read.
    """
    if not benchmark:
        return ""
    if "problem" in benchmark:
        return f"**Not measured:** {code(str(benchmark['problem']))}"
    try:
        found = Measured.model_validate(benchmark)
    except ValidationError as error:
        fields = ", ".join(code(str(fault["loc"][0])) for fault in error.errors(include_input=False))
        return f"**Not measured:** the stack output `benchmark` has no such {fields} as this version writes."
    return f"**Measured {_rate(found.tokens_per_second)}** {_load(found)}. {_compared(found, settings)}".strip()


def _load(found: Measured) -> str:
    requests, prompt, answer = found.requests_at_once, found.input_tokens, found.output_tokens
    count = f"{requests:,} request{'s' if requests > 1 else ''}"
    return f"at {code(found.measured_at)}, with {count} at once of {prompt:,} tokens and answers of {answer:,}"


def _compared(found: Measured, settings: StackSettings | None) -> str:
    told: list[str] = []
    if found.predicted_tokens_per_second is not None:
        told.append(f"Predicted for it: {_rate(found.predicted_tokens_per_second)}.")
    if found.previous:
        before = found.previous
        told.append(f"Measured before, at {code(before.measured_at)}: {_rate(before.tokens_per_second)}.")
    after = settings and predicted_tokens_per_second(
        settings, found.requests_at_once, prompt_tokens=found.input_tokens, answer_tokens=found.output_tokens
    )
    if after:
        told.append(f"**Predicted of this change: {_rate(after)}.**")
    return " ".join(told)


def _rate(tokens_per_second: float) -> str:
    return f"{tokens_per_second:,.10g} tokens/s"
