"""The keys of deepseek:rollout."""

from typing import Annotated

from pydantic import Field

from planning.settings.sections.base import BOUNDS_ONLY, Duration, Section, changing

LONGEST_DRAIN_SECONDS = 3600
"""No answer takes longer at the proxies."""


class Rollout(Section):
    """How what serves is taken out of service."""

    drain_timeout: Annotated[Duration, Field(le=LONGEST_DRAIN_SECONDS)] = Field(
        default=2 * 60,
        description=(
            "How long answers under way may take before vLLM is stopped, at most 1h. It is stopped as soon as it has "
            "no request left. The proxies of `endpoint.proxy` send it no new ones meanwhile; without them clients may."
        ),
        json_schema_extra=BOUNDS_ONLY,
    )
    minimum_serving: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description=(
            "How many engines must serve before another one is replaced. Unset, all the others must. If fewer do, `up` "
            "ends with the reason after 5 minutes, and leaves what serves as it is."
        ),
        json_schema_extra=BOUNDS_ONLY,
    )

    surge: Annotated[int, Field(ge=0, le=1)] = Field(
        default=0,
        description=(
            "`1`: a changed first engine is made on idle nodes, as many as `hardware.nodes`, and answers before its "
            "predecessor ends. So one engine changes without a break, too. It needs the proxies of `endpoint.proxy`."
        ),
        json_schema_extra=changing("replaces the proxies one after the other; nothing that serves is touched"),
    )

    def minimum_of(self, engines: int) -> int:
        """Return how many of so many engines serve at the least while one is replaced."""
        return engines - 1 if self.minimum_serving is None else self.minimum_serving
