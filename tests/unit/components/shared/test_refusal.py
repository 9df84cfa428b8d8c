"""A refusal is one error, whoever runs the program."""

import inspect

import pulumi
import pytest
from pulumi.automation import _server
from pulumi.runtime.proto import language_pb2

from components.shared.refusal import refuse
from tests.unit.components.registrations import run, stack_file


def test_the_language_host_is_told_that_the_error_has_been_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", "{}")
    monkeypatch.setattr(pulumi.log, "get_engine", lambda: None)
    with pytest.raises(SystemExit) as ended:
        refuse("hardware.nodes: too few")
    assert ended.value.code == 32
    assert capsys.readouterr().err == "error: hardware.nodes: too few\n"


def test_inside_the_automation_api_a_refusal_is_an_error_of_the_program() -> None:
    with pytest.raises(pulumi.RunError, match="too few"):
        refuse("hardware.nodes: too few")


def test_the_server_of_inline_programs_cannot_tell_the_engine_that_an_error_has_been_shown() -> None:
    """If it can one day, `refuse` should: until then the engine repeats the reason."""
    assert "bail" in language_pb2.RunResponse.DESCRIPTOR.fields_by_name
    assert "bail" not in inspect.getsource(_server)


@pytest.mark.parametrize("change", [{"nodes": -1}, {"nodes": 2}], ids=["not read", "does not fit"])
def test_both_ways_of_refusing_a_stack_end_so(
    change: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = stack_file("a100-bf16")
    config["deepseek:hardware"] |= change
    monkeypatch.setenv("PULUMI_CONFIG", "{}")
    monkeypatch.setattr(pulumi.log, "get_engine", lambda: None)
    with pytest.raises(SystemExit):
        run(config)
    assert capsys.readouterr().err.count("error: ") == 1
