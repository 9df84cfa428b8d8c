"""What vLLM refuses of flags together, before it loads anything (`validate_parsed_serve_args`)."""

from collections.abc import Iterator

from planning.flags.reading import Fault, Mention, Reading


def faults(reading: Reading) -> Iterator[Fault]:
    """The flags that need another flag which is not set, or exclude another one which is."""
    for name, needed in (
        ("--enable-auto-tool-choice", "--tool-call-parser"),
        ("--enable-log-outputs", "--enable-log-requests"),
    ):
        mention = _on(reading, name)
        if mention and not _on(reading, needed):
            yield Fault(mention.place, "value", f"needs {needed} as well", mention.flag)
    metrics = _on(reading, "--enable-per-request-metrics")
    if metrics and _on(reading, "--disable-log-stats"):
        yield Fault(metrics.place, "value", "does not go with --disable-log-stats", metrics.flag)
    interval = reading.last("--sse-keep-alive-interval")
    if interval and interval.texts[-1:] and interval.texts[-1].strip().startswith("-") and int(interval.texts[-1]) < 0:
        yield Fault(interval.place, "value", "takes 0 or more seconds", interval.flag)


def _on(reading: Reading, name: str) -> Mention | None:
    """The flag's mention, unless it turns the flag off or has an empty value."""
    mention = reading.last(name)
    if mention is None or not mention.is_on or mention.texts in (("",), ("None",)):
        return None
    return mention
