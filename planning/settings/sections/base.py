"""What the sections of the stack file are made of.

Their common rules, the forms of values, and what a change of a key does.
"""

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from planning.settings.quantities import DURATION, QUANTITY, duration_text, seconds_of


class Unreadable(Exception):
    """A key whose value is at fault was read."""


class Section(BaseModel):
    """One object of the stack file.

    Keys in camelCase, no other key, no conversion between types, values never in an error's text.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True
    )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Reached for attributes that are missing.

            Those which `settings.parse` took out because their values are at fault.
            """
            if name in type(self).model_fields:
                raise Unreadable(name)
            return super().__getattr__(name)


def _seconds(written: object) -> object:
    if not isinstance(written, str):
        raise ValueError("a duration such as 24h or 90m is expected")  # noqa: TRY004 - what pydantic collects
    return seconds_of(written)


Duration = Annotated[
    int,
    BeforeValidator(_seconds),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^(?=.){DURATION}$", "examples": ["24h", "90m"]}),
]
Quantity = Annotated[str, Field(pattern=f"^{QUANTITY}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
Text = Annotated[str, Field(min_length=1, pattern=r"^\S.*$")]
Count = Annotated[int, Field(ge=1, le=100_000)]


def changing(effect: str) -> dict[str, JsonValue]:
    """What a change of the key does to a stack that runs, for the reference page."""
    return {"changing": effect}


REDOWNLOADS = changing("another folder on the volume: downloads first, then replaces the Ray cluster")
ANOTHER_CLAIM = changing("downloads onto another claim first, then replaces the Ray cluster; the old claim stays")
REPLACES_CLUSTER = changing("replaces the Ray cluster: serving stops until the model is loaded again")
REPLACES_SERVING = changing("replaces the serving Job: serving stops until the model is loaded again")
REBUILDS = changing("builds both images and checks the weights first, then replaces the Ray cluster")
CHECKS_BUILDS = changing("runs the build Jobs again, which find their images in the registry")
CHECKS_DOWNLOAD = changing("runs the download Job again, which finds the weights")
CHECKS_ALL = changing("runs the build and download Jobs again, which find everything; nothing that serves is touched")
BOUNDS_ONLY = changing("takes effect the next time that something has to be waited for")
LATER_STARTS = changing("takes effect when vLLM starts the next time; what serves is not touched")
UPDATES_POLICIES = changing("updates NetworkPolicies in place; nothing that serves is touched")
RESIZES_CACHE = changing(
    "changes the plan and the KV cache that it gives vLLM: replaces the serving Job, serving stops until the model is "
    "loaded again"
)
CHANGES_WEIGHTS = changing(
    "changes the plan: runs the download Job again, which finds the weights and compares their size with the plan, "
    "then replaces the serving Job, serving stops until the model is loaded again"
)
PLAN_ONLY = changing("changes the plan only, nothing that runs")
