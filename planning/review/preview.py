"""Reads what `pulumi preview --json` prints.

Source: Pulumi 3.215, pkg/display/json.go and backend/display/json.go. A step is written when the engine begins it, so
the stack's own step has the outputs of the last `up` and none of this preview; `config` is what they follow from.
"""

import json
from collections.abc import Mapping
from typing import Annotated, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from planning.parse import parse
from planning.problems import Refused
from planning.settings.sections import StackSettings
from planning.settings.stack_file import PROJECT, SECRETS

SAME = "unchanged"
CREATED, UPDATED, REPLACED, DELETED = "created", "updated in place", "replaced", "deleted"
OPERATIONS = {
    "same": SAME,
    "create": CREATED,
    "update": UPDATED,
    "replace": REPLACED,
    "create-replacement": REPLACED,
    "delete-replaced": REPLACED,
    "delete": DELETED,
}
"""The engine's operations, as they are told; others keep their own name."""

STACK_TYPE = "pulumi:pulumi:Stack"


class NotAPreviewError(Exception):
    """The text is not what `pulumi preview --json` prints."""


class _Part(BaseModel):
    """A part of the document; what is not read here may change."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )


def _or_empty(value: object) -> object:
    return {} if value is None else value


Operation = Annotated[str, StringConstraints(pattern=r"^[a-z]+(-[a-z]+)*$", max_length=40)]
"""The engine's name of an operation."""

Object = Annotated[dict[str, object], BeforeValidator(_or_empty)]
"""Go writes an empty map as null or leaves it out."""


class State(_Part):
    """A resource before the change."""

    outputs: Object = Field(default_factory=dict)
    retain_on_delete: bool = False


class Step(_Part):
    """What happens to one resource."""

    op: Operation
    urn: str
    old_state: State | None = None
    detailed_diff: Object = Field(default_factory=dict)
    """By the path of each property that differs."""

    @property
    def operation(self) -> str:
        """Of `OPERATIONS`."""
        return OPERATIONS.get(self.op, self.op)

    @property
    def type(self) -> str:
        """The type token, such as kubernetes:batch/v1:Job, without those of the parents."""
        return self.urn.split("::")[2].rpartition("$")[2]

    @property
    def kind(self) -> str:
        """Last part of the type: Job."""
        return self.type.rpartition(":")[2]

    @property
    def name(self) -> str:
        """Pulumi's name of the resource, which is not the object's."""
        return self.urn.split("::", 3)[3]

    @property
    def stays(self) -> bool:
        """Whether the object stays in the cluster when Pulumi gives it up."""
        ends = self.operation in {REPLACED, DELETED}
        return ends and self.old_state is not None and self.old_state.retain_on_delete


class Diagnostic(_Part):
    """Something that the engine, a provider or the program said."""

    severity: str = "info"
    message: str = ""


class Preview(_Part):
    """One preview of one stack."""

    config: dict[str, str] = Field(default_factory=dict)
    """As the program gets it: objects as JSON, secrets blinded."""

    steps: list[Step] = Field(default_factory=list[Step])
    diagnostics: list[Diagnostic] = Field(default_factory=list[Diagnostic])
    change_summary: dict[Operation, int] = Field(default_factory=dict)
    """Resources by the engine's operation."""

    @property
    def stack(self) -> str:
        """Its name; empty when the preview ended before the first step."""
        return self.steps[0].urn.removeprefix("urn:pulumi:").split("::")[0] if self.steps else ""

    @property
    def plan_before(self) -> Mapping[str, object]:
        """The output `plan` of the last `up`; empty when there was none."""
        return self._output("plan")

    @property
    def benchmark_before(self) -> Mapping[str, object]:
        """The output `benchmark` of the last `up`; empty when there was none."""
        return self._output("benchmark")

    @property
    def settings(self) -> StackSettings | None:
        """What the stack is to be; None when the program could not read it, which `errors` then tell."""
        prefix = f"{PROJECT}:"
        own = {key.removeprefix(prefix): text for key, text in self.config.items() if key.startswith(prefix) and text}
        try:
            return parse({key: _value(text) for key, text in own.items() if key not in SECRETS})
        except Refused:
            return None

    def _output(self, name: str) -> Mapping[str, object]:
        states = [step.old_state for step in self.steps if step.type == STACK_TYPE and step.old_state]
        output = states[0].outputs.get(name) if states else None
        return cast("dict[str, object]", output) if isinstance(output, dict) else {}

    def said(self, severity: str) -> list[str]:
        """What was said with that severity, each text once."""
        texts = (item.message.strip() for item in self.diagnostics if item.severity == severity)
        prefixes = (f"{severity}: ", "an unhandled error occurred: ")
        return list(dict.fromkeys(text for text in (_without(prefixes, text) for text in texts) if text))


def read(text: str) -> Preview:
    """Return the preview. Raises NotAPreviewError, also for `{}`, which the engine prints when it could not begin."""
    try:
        preview = Preview.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "document"
        raise NotAPreviewError(
            f"{where}: {fault['msg']}; expected what `pulumi preview --json` writes to standard output"
        ) from None
    if not preview.steps and not preview.diagnostics:
        raise NotAPreviewError("the engine ended before the program had begun")
    return preview


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # also for numbers of too many digits
        return text


def _without(prefixes: tuple[str, ...], text: str) -> str:
    for prefix in prefixes:
        text = text.removeprefix(prefix)
    return text
