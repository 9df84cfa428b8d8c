"""The form of tool calls and reasoning, asked of a stand-in for vLLM."""

from collections.abc import Callable
from typing import Any

import chat_form
import gate
import pytest
from completion import Model
from stub_servers import StubModel, StubServer

CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
TALK: dict[str, Any] = {"message": {"content": "Ready."}, "finish_reason": "stop"}
GATE = {
    "SERVED_MODEL": "m",
    "SERVING_JOB": "serve",
    "RAY_CLUSTER": "ray",
    "RAY_NODES": "1",
    "GPUS_PER_NODE": "1",
    "POD_NAMESPACE": "n",
    "TIMEOUT_SECONDS": "5",
}


def calls(*made: dict[str, Any]) -> dict[str, Any]:
    return {"message": {"content": None, "tool_calls": list(made)}, "finish_reason": "tool_calls"}


def says(content: str | None, reasoning: str | None = None, finish_reason: str = "stop") -> dict[str, Any]:
    return {"message": {"content": content, "reasoning": reasoning}, "finish_reason": finish_reason}


def changed(name: str, arguments: str) -> dict[str, Any]:
    return CALL | {"function": {"name": name, "arguments": arguments}}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_form, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(gate, "ASK_SECONDS", 0.01)


@pytest.fixture
def asked() -> list[dict[str, Any]]:
    """The bodies of the requests."""
    return []


@pytest.fixture
def choices(server: StubServer, asked: list[dict[str, Any]]) -> Callable[..., None]:
    """Have the stand-in answer with these choices, one after the other, the last one for ever; None is HTTP 503."""

    def answer(*given: dict[str, Any] | None) -> None:
        left = list(given)

        def chat(body: dict[str, Any]) -> tuple[int, Any]:
            asked.append(body)
            choice = left.pop(0) if len(left) > 1 else left[0]
            return (200, {"choices": [choice]}) if choice else (503, "busy")

        server.routes[("POST", "/v1/chat/completions")] = chat

    return answer


def problem(server: StubServer, variable: str) -> str:
    return chat_form.broken_promises(Model(server.url, "m"), chat_form.asked_for({variable: "true"}))


def test_nothing_is_checked_that_is_not_asked_for() -> None:
    assert chat_form.asked_for({}) == []
    assert [form.key for form in chat_form.asked_for({"REASONING": "true", "TOOL_CALLS": "true"})] == [
        "serving.toolCalls",
        "serving.reasoning",
    ]


def test_a_call_of_the_tool_is_right_and_a_tool_was_offered(
    server: StubServer, choices: Callable[..., None], asked: list[dict[str, Any]]
) -> None:
    choices(calls(CALL))
    assert problem(server, "TOOL_CALLS") == ""
    (body,) = asked
    assert body["tools"][0]["function"]["name"] == "weather"
    assert "tool_choice" not in body, "another choice than `auto` goes round the parser"


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (says("<|tool_calls_section_begin|>weather"), "no tool is called: the answer is <|tool_calls_section_begin|>"),
        (says(None, "Let me think", "length"), "no tool is called: the answer was not at its end after 2048 tokens"),
        (calls(changed("climate", "{}")), "the tool `climate` is called, and weather was offered"),
        (calls(CALL, changed("weather", '{"city": "Pa')), 'the arguments of the call are no JSON object: {"city": "Pa'),
        (calls(changed("weather", '"Paris"')), 'the arguments of the call are no JSON object: "Paris"'),
        (calls({}), "not a chat completion"),
    ],
)
def test_calls_of_another_form_are_told(
    server: StubServer, choices: Callable[..., None], choice: dict[str, Any], words: str
) -> None:
    choices(choice)
    said = problem(server, "TOOL_CALLS")
    assert said.startswith(f"m answers, but not in the form of serving.toolCalls: {words}")
    assert said.endswith("Set another one in serving.extraArgs, or serving.toolCalls to false")


@pytest.mark.parametrize("choice", [says("9.9", "9.9 is 9.90"), says(None, "Let me th", "length")])
def test_reasoning_in_its_field_is_right_even_if_it_is_cut(
    server: StubServer, choices: Callable[..., None], asked: list[dict[str, Any]], choice: dict[str, Any]
) -> None:
    choices(choice)
    assert problem(server, "REASONING") == ""
    assert asked[0]["chat_template_kwargs"] == {"thinking": True}, "V3.1 and V3.2 would not reason without"


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (says("<think>9.90</think>9.9"), "`reasoning` is empty: the answer is <think>9.90</think>9.9"),
        (says("so</think>9.9", "hm"), "reasoning stands in the answer: the answer is so</think>9.9"),
        (says(None, "9.9 is larger."), "the whole answer stands in `reasoning`: 9.9 is larger."),
    ],
)
def test_reasoning_of_another_form_is_told(
    server: StubServer, choices: Callable[..., None], choice: dict[str, Any], words: str
) -> None:
    choices(choice)
    assert problem(server, "REASONING").startswith(f"m answers, but not in the form of serving.reasoning: {words}")


def test_a_busy_moment_is_passed_over_and_lasting_trouble_is_told(
    server: StubServer, choices: Callable[..., None], asked: list[dict[str, Any]]
) -> None:
    choices(None, calls(CALL))
    assert problem(server, "TOOL_CALLS") == ""
    choices(None)
    assert "HTTP 503: busy" in problem(server, "TOOL_CALLS")
    assert len(asked) == 4


def test_the_gate_fails_with_every_form_that_is_broken(
    server: StubServer, choices: Callable[..., None], asked: list[dict[str, Any]]
) -> None:
    choices(TALK)
    on = GATE | {"ENDPOINT": server.url, "TOOL_CALLS": "true", "REASONING": "true"}
    tools, reasoning = gate.run(on).split("\n")
    assert "serving.toolCalls: no tool is called: the answer is Ready." in tools
    assert "serving.reasoning: `reasoning` is empty: the answer is Ready." in reasoning
    assert len(asked) == 5, "the first question, and each of the two twice"


def test_the_gate_succeeds_with_a_model_that_keeps_both_promises(model: StubModel) -> None:
    assert gate.run(GATE | {"ENDPOINT": model.url, "TOOL_CALLS": "true", "REASONING": "true"}) == ""
    assert len(model.requests) == 3


def test_the_gate_that_is_not_told_of_forms_asks_one_question(
    server: StubServer, choices: Callable[..., None], asked: list[dict[str, Any]]
) -> None:
    choices(TALK)
    assert gate.run(GATE | {"ENDPOINT": server.url}) == ""
    assert len(asked) == 1
