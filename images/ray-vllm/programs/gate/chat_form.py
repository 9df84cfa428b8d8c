"""Whether tool calls and reasoning come back in fields of their own, where the stack file asks for them.

A parser that does not belong to the model leaves both in the answer's text, and vLLM reports no error. So one question
is asked that wants a tool called, and one that is reasoned about, and the form of the answers is looked at. What the
model says in them is not judged.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from completion import Model
from direct_http import NoAnswer, fetch
from key_file import read_key

TRIES = 2
PAUSE_SECONDS = 5.0
ANSWER_SECONDS = 120.0
TOKENS = 2048  # for a model that reasons before it calls a tool
TOOL = "weather"
TEXT_CHARACTERS = 300

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """What one key of the stack file promises: a question, and what is wrong with a choice that answers it."""

    key: str
    question: Json
    wrong: Callable[[Json], str]


def asked_for(env: Mapping[str, str]) -> list[Form]:
    """Return the forms to check: of TOOL_CALLS and REASONING, where the variable is `true`."""
    return [form for name, form in FORMS.items() if env.get(name) == "true"]


def broken_promises(model: Model, forms: Sequence[Form]) -> str:
    """Check each form, print what was found, and return what is wrong, a line a form."""
    problems = {form.key: _broken_promise(model, form) for form in forms}
    for key, problem in problems.items():
        print(f"gate: {key}: {problem or 'the answer has the right form'}", flush=True)
    return "\n".join(problem for problem in problems.values() if problem)


def _broken_promise(model: Model, form: Form) -> str:
    """Return what is wrong with the model's answers to the form's question, nothing as soon as one is right."""
    problem = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        problem = _asked(model, form)
        if not problem:
            return ""
    return (
        f"{model.name} answers, but not in the form of {form.key}: {problem}. Does the parser in vLLM's log belong to "
        f"this model? Set another one in serving.extraArgs, or {form.key} to false"
    )


def _asked(model: Model, form: Form) -> str:
    key = read_key(model.key_file).decode() if model.key_file else ""
    body = {"model": model.name, "max_tokens": TOKENS, "temperature": 0, **form.question}
    try:
        text = fetch("POST", f"{model.endpoint}/v1/chat/completions", body=body, token=key, timeout=ANSWER_SECONDS)
    except NoAnswer as error:
        return f"no answer within {ANSWER_SECONDS:g} s" if error.timed_out else str(error)
    try:
        return form.wrong(json.loads(text)["choices"][0])
    except (ValueError, LookupError, TypeError, AttributeError):
        return f"not a chat completion: {text[:TEXT_CHARACTERS]}"


def _wrong_tool_call(choice: Json) -> str:
    """Source: ToolCall of vLLM 0.32's entrypoints/openai/chat_completion/protocol.py."""
    calls = choice["message"].get("tool_calls")
    if not calls:
        return f"no tool is called: {_said(choice)}"
    for call in calls:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        if name != TOOL:
            return f"the tool `{name}` is called, and {TOOL} was offered"
        try:
            whole = isinstance(json.loads(arguments), dict)
        except ValueError:
            whole = False
        if not whole:
            return f"the arguments of the call are no JSON object: {arguments[:TEXT_CHARACTERS]}"
    return ""


def _wrong_reasoning(choice: Json) -> str:
    """Source: ChatMessage of vLLM 0.32's entrypoints/openai/chat_completion/protocol.py."""
    message = choice["message"]
    reasoning, content = message.get("reasoning") or "", message.get("content") or ""
    if not reasoning.strip():
        return f"`reasoning` is empty: {_said(choice)}"
    if "<think>" in content or "</think>" in content:
        return f"reasoning stands in the answer: {_said(choice)}"
    if not content.strip() and choice.get("finish_reason") == "stop":
        return f"the whole answer stands in `reasoning`: {reasoning[-TEXT_CHARACTERS:]}"
    return ""


def _said(choice: Json) -> str:
    if choice.get("finish_reason") == "length":
        return f"the answer was not at its end after {TOKENS} tokens"
    return f"the answer is {str(choice['message'].get('content') or 'empty')[:TEXT_CHARACTERS]}"


FORMS: Mapping[str, Form] = {
    "TOOL_CALLS": Form(
        "serving.toolCalls",
        {
            "messages": [{"role": "user", "content": f"What is the weather in Paris? Call the tool {TOOL}."}],
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": TOOL,
                        "description": "Tells the weather in a city.",
                        "parameters": {
                            "type": "object",
                            "properties": {"city": {"type": "string"}},
                            "required": ["city"],
                        },
                    },
                }
            ],
        },
        _wrong_tool_call,
    ),
    "REASONING": Form(
        "serving.reasoning",
        {
            "messages": [{"role": "user", "content": "Which is larger, 9.11 or 9.9? Answer with the number."}],
            # V3.1 and V3.2 reason only where they are asked to.
            "chat_template_kwargs": {"thinking": True},
        },
        _wrong_reasoning,
    ),
}
"""By the variable of the gate's environment."""
