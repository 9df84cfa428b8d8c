"""The keys of deepseek:rollout."""

from typing import Annotated

from pydantic import Field

from planning.settings.sections.base import BOUNDS_ONLY, Duration, Section

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
