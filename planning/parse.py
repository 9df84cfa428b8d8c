"""Reads a stack file's objects into settings, or refuses them with every problem by the key that the user typed."""

from collections.abc import Mapping
from typing import cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from planning.problems import Refused
from planning.settings.form_problems import problem_of
from planning.settings.sections import SECTIONS, StackSettings
from planning.sizing.resolved import ResolvedStack
from planning.verdict.checks import problems_of

STAND_INS: dict[str, dict[str, object]] = {
    "model": {"repository": "https://host/owner/name"},
    "hardware": {"gpu": "none", "gpusPerNode": 1, "nodes": 1},
}
"""Values for required keys that could not be read, so that the rest can be read; nothing reads them."""


def parse(raw: Mapping[str, object]) -> StackSettings:
    """The settings of `{"model": {…}, "hardware": {…}, …}`.

    Raises Refused with the problems of every key, and with what the checks find in the keys that are well-formed.
    Whether a well-formed stack works is for `planning.plan.make_plan` to say.
    """
    try:
        return StackSettings.model_validate({name: {} for name in SECTIONS} | dict(raw))
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=True)
    problems = [problem_of(error) for error in errors]
    raise Refused(problems + problems_of(ResolvedStack(_readable_part(raw, errors))))


def _readable_part(raw: Mapping[str, object], errors: list[ErrorDetails]) -> StackSettings:
    """The settings without the keys that could not be read: reading one of those raises `sections.Unreadable`."""
    unreadable = {tuple(str(part) for part in (*error["loc"], "")[:2]) for error in errors}
    readable: dict[str, object] = {}
    for name in SECTIONS:
        section = raw.get(name, {})
        keys = cast("dict[object, object]", section) if isinstance(section, dict) else {}
        good = {
            str(key): value
            for key, value in keys.items()
            if (name, str(key)) not in unreadable and (name, "") not in unreadable
        }
        readable[name] = STAND_INS.get(name, {}) | good
    settings = StackSettings.model_validate(readable)
    for name, model in SECTIONS.items():
        for attribute, field in model.model_fields.items():
            if (name, field.alias) in unreadable or (name, "") in unreadable:
                getattr(settings, name).__dict__.pop(attribute)
    return settings
