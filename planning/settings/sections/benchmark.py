"""The keys of deepseek:benchmark."""

from typing import Annotated

from pydantic import Field

from planning.settings.sections.base import Count, Duration, Section, changing

MEASURES_AGAIN = changing("runs the benchmark again; nothing that serves is touched")
Tokens = Annotated[int, Field(ge=1, le=1_000_000_000)]


class Benchmark(Section):
    """Measures what was deployed: a load on the served model at the end of `up`, as the stack output `benchmark`."""

    enabled: bool = Field(
        default=False,
        description=(
            "Whether `up` measures. It does when what it measures has changed, and never in a preview. Its load runs "
            "beside that of users."
        ),
        json_schema_extra=changing("runs the benchmark, or removes its Job; nothing that serves is touched"),
    )
    requests_at_once: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=64, description="Requests that are in flight.", json_schema_extra=MEASURES_AGAIN
    )
    input_tokens: Tokens = Field(
        default=1024, description="Tokens of each prompt, drawn at random.", json_schema_extra=MEASURES_AGAIN
    )
    output_tokens: Tokens = Field(default=256, description="Tokens of each answer.", json_schema_extra=MEASURES_AGAIN)
    duration: Duration = Field(
        default=2 * 60,
        description=(
            "How long the load lasts, about. All requests at once are sent one time at least, however long it takes; "
            "after three times this and ten minutes more the measurement is given up."
        ),
        json_schema_extra=MEASURES_AGAIN,
    )
    minimum_tokens_per_second: Count | None = Field(
        default=None,
        description=(
            "Generated tokens a second, all requests together, below which `up` fails. It also fails when nothing "
            "could be measured. The model serves all the same."
        ),
        json_schema_extra=MEASURES_AGAIN,
    )

    @property
    def timeout(self) -> int:
        """Seconds after which the measurement is given up: the client starts twice, and a cold one takes minutes."""
        return 3 * self.duration + 600
