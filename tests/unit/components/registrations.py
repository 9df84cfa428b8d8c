"""Runs the real `__main__.py` against a mocked engine, and returns what it registered."""

import json
import logging
import runpy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import pulumi
import yaml
from pulumi.runtime import mocks, rpc
from pulumi.runtime.config import set_all_config

KEY = {"deepseek:apiKey": "not-made-at-random-0123"}
CHECKOUT = Path(__file__).resolve().parents[3]
PROJECT = "deepseek"


@dataclass(frozen=True)
class Registration:
    """One resource as the engine was asked for it."""

    type: str
    name: str
    urn: str
    inputs: dict[str, Any]
    request: Any
    """The whole request: parent, dependencies, options."""


class _Echo(pulumi.runtime.Mocks):
    """An engine in which every resource becomes what was asked for."""

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program asks the provider: {args.token}")

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return f"{args.name}-id", cast("dict[str, Any]", args.inputs)  # pyright: ignore[reportUnknownMemberType]


class _Recorder(mocks.MockMonitor):
    def __init__(self) -> None:
        super().__init__(_Echo())
        self.registrations: list[Registration] = []
        self.outputs: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  the name in the protocol
        response: Any = super().RegisterResource(request)  # pyright: ignore[reportUnknownMemberType]
        inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
        self.registrations.append(Registration(request.type, request.name, response.urn, inputs, request))
        return response


class Program:
    """What one run of the program registered."""

    def __init__(self, recorder: _Recorder) -> None:
        self.registrations = recorder.registrations
        self.outputs = recorder.outputs

    def one(self, type_: str, name: str) -> Registration:
        """Return the only Kubernetes object of a kind with that Pulumi name."""
        found = [item for item in self.kubernetes() if item.type.split(":")[-1] == type_ and item.name == name]
        assert len(found) == 1, f"{len(found)} of {type_} {name}"
        return found[0]

    def kubernetes(self) -> list[Registration]:
        """Return the objects that would be in the cluster."""
        return [item for item in self.registrations if item.type.startswith("kubernetes:")]

    def texts(self) -> dict[str, str]:
        """Return each of them as text, by its URN, to be compared with those of another run (`run_with_key`)."""
        return {
            item.urn: json.dumps(item.inputs, default=lambda _: "unknown", sort_keys=True) for item in self.kubernetes()
        }


def stack_file(name: str) -> dict[str, Any]:
    """Return the configuration of a committed stack file."""
    return yaml.safe_load((CHECKOUT / f"Pulumi.{name}.yaml").read_text())["config"]


def run_with_key(config: Mapping[str, Any]) -> Program:
    """Run a stack whose key is not made at random, by which the Secret of the proxies is named."""
    return run({**config, **KEY}, [*KEY])


def run(config: Mapping[str, Any], secrets: Sequence[str] = (), stack: str = "unit") -> Program:
    """Run the program in a preview of a stack with this configuration. Raises pulumi.RunError when it refuses.

    `secrets` names the keys of `config` that are encrypted.
    """
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    set_all_config(texts, list(secrets))
    recorder = _Recorder()
    pulumi.runtime.set_mocks(
        recorder.mocks, PROJECT, stack, preview=True, monitor=recorder, logger=logging.getLogger("pulumi")
    )

    def program() -> pulumi.Output[Any]:
        exported: Any = pulumi.runtime.get_root_resource()
        exported.outputs = dict[str, Any]()  # the mocks keep one stack for all runs of a process
        runpy.run_path(str(CHECKOUT / "__main__.py"))
        # One by one: those that a preview does not know are left out.
        return pulumi.Output.all(
            *(
                pulumi.Output.from_input(value).apply(partial(recorder.outputs.__setitem__, name))
                for name, value in exported.outputs.items()
            )
        )

    pulumi.runtime.test(program)()  # pyright: ignore[reportUnknownMemberType]
    return Program(recorder)
