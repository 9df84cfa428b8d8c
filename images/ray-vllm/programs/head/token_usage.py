"""What a request asks for and what an answer has cost, as the OpenAI API words it."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

TRUE = frozenset({"true", "1", "1.0", "t", "yes", "y", "on"})
"""What vLLM takes for `"stream": true` (pydantic's lax mode)."""

END_OF_EVENT = b"\n\n"


class Usage(NamedTuple):
    """Tokens of one answer."""

    prompt: int
    answer: int


def with_usage(body: bytes) -> bytes | None:
    """Return a request that also asks for the usage at the end of its stream; None if it is no stream or asks itself.

    Source: OpenAI API, `stream_options.include_usage` of chat completions and completions.
    """
    if b'"stream"' not in body:
        return None
    request = _object(body)
    if str(request.get("stream")).lower() not in TRUE:
        return None
    written = request.get("stream_options")
    options = _as_object(written)
    if options.get("include_usage") or (written and not options):
        return None
    return json.dumps(request | {"stream_options": options | {"include_usage": True}}).encode()


def usage_of(text: bytes) -> Usage | None:
    """Return the usage in an answer, or in an event of a stream; None where there is none.

    The Responses API has other names for it, and has it one level deeper in its last event.
    """
    if b'"usage"' not in text:
        return None
    answer = _object(_data(text))
    usage = _as_object(answer.get("usage")) or _as_object(_as_object(answer.get("response")).get("usage"))
    if not usage:
        return None
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    return Usage(int(prompt or 0), int(usage.get("completion_tokens", usage.get("output_tokens")) or 0))


def is_usage_alone(event: bytes) -> bool:
    """Whether an event of a stream is the one that `with_usage` has asked for: it has no choices."""
    answer = _object(_data(event)) if b'"usage"' in event else {}
    return answer.get("choices") == [] and bool(_as_object(answer.get("usage")))


def has_text(event: bytes) -> bool:
    """Whether an event brings a part of the answer: any but the first of all, which has the role alone."""
    return event.startswith((b"data: {", b"event:")) and b'"role"' not in event


class Events:
    """Divides a stream into its events, wherever its parts are cut."""

    def __init__(self) -> None:
        self._rest = b""

    def of(self, part: bytes) -> Iterator[bytes]:
        """Yield the events that are complete with this part."""
        *events, self._rest = (self._rest + part).split(END_OF_EVENT)
        for event in events:
            yield event + END_OF_EVENT

    def rest(self) -> bytes:
        """Return what is no whole event, at the end."""
        return self._rest


def _data(event: bytes) -> bytes:
    """Return an event's data, or all of a text that is no event."""
    lines = [line.removeprefix(b"data:") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) or event


def _object(text: bytes) -> dict[str, Any]:
    """Return the JSON object that a text is; an empty one if it is something else."""
    try:
        return _as_object(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _as_object(value: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
