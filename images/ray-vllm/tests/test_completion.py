from pathlib import Path

import pytest
from completion import Metrics, Model, sum_of
from stub_servers import StubModel, StubServer

METRICS = """# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="/mnt/models/m"} 12.0
vllm:generation_tokens_total{engine="1",model_name="/mnt/models/m"} 3.0
vllm:generation_tokens_created{engine="0"} 1.7e+09
vllm:kv_cache_usage_perc{engine="0",model_name="/mnt/models/m"} 0.25
"""


def test_text_is_what_counts(model: StubModel) -> None:
    model.answer = " yes "
    assert Model(model.url, "m").ask("?", 5, 2).text == "yes"


def test_a_completion_without_text_is_no_answer_but_a_sign_of_life(model: StubModel) -> None:
    model.answer = ""
    answer = Model(model.url, "m").ask("?", 5, 2)
    assert (answer.text, answer.completed) == ("", True)
    assert answer.problem == "the completion has no text in it"


def test_a_base_model_without_a_chat_template_completes_a_text(model: StubModel) -> None:
    model.has_chat_template = False
    assert Model(model.url, "m").ask("?", 5, 2).text == "I am ready."
    assert model.requests == [("POST", "/v1/chat/completions"), ("POST", "/v1/completions")]


def test_a_base_model_that_hangs_is_busy_and_not_refusing(model: StubModel) -> None:
    model.has_chat_template, model.answer = False, None
    answer = Model(model.url, "m").ask("?", 5, 0.2)
    assert answer.busy
    assert not answer.final
    assert answer.problem == "no answer within 0.2 s"


def test_another_refusal_is_not_gone_round_by_completing_a_text(model: StubModel) -> None:
    model.status = 404
    answer = Model(model.url, "m").ask("?", 5, 2)
    assert answer.final
    assert model.requests == [("POST", "/v1/chat/completions")]


@pytest.mark.parametrize(
    ("status", "final"),
    [
        (400, True),
        (404, True),
        (422, True),
        (501, True),
        (500, False),
        (401, False),
        (408, False),
        (429, False),
        (503, False),
    ],
)
def test_what_blames_the_question_is_told_from_what_may_pass(model: StubModel, status: int, *, final: bool) -> None:
    model.status = status
    assert Model(model.url, "m").ask("?", 5, 2).final == final


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (501, "The model does not support Chat Completions API"),
        (400, "Cannot use chat template functions because tokenizer.chat_template is not set"),
        (422, "This model does not have a chat_template."),
        (400, "No chat template is configured"),
        (404, "chat template not found"),
    ],
)
def test_a_server_that_has_no_chat_is_asked_to_complete_a_text(model: StubModel, status: int, words: str) -> None:
    model.routes[("POST", "/v1/chat/completions")] = lambda _: (status, {"error": {"message": words}})
    assert Model(model.url, "m").ask("?", 5, 2).text == "I am ready."


@pytest.mark.parametrize(
    "error",
    [
        {"message": "An error occurred while applying chat template"},
        {"message": "Conversation roles must alternate user/assistant", "param": "chat_template"},
        {"message": "The supplied chat template (/x) looks like a file path, but it failed to be opened."},
        {"message": "the chat template is not valid: unexpected end of template"},
    ],
)
def test_a_chat_template_that_fails_is_no_base_model(model: StubModel, error: dict[str, str]) -> None:
    model.routes[("POST", "/v1/chat/completions")] = lambda _: (400, {"error": error})
    answer = Model(model.url, "m").ask("?", 5, 2)
    assert answer.final
    assert not answer.text


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_a_model_that_only_reasons_has_answered(server: StubServer, field: str) -> None:
    reply = {"choices": [{"message": {"content": None, field: "hmm"}}]}
    server.routes[("POST", "/v1/chat/completions")] = lambda _: (200, reply)
    assert Model(server.url, "m").ask("?", 5, 2).text == "hmm"


def test_the_key_is_sent_as_it_is_now(model: StubModel, tmp_path: Path) -> None:
    asked = Model(model.url, "m", str(tmp_path / "key"))
    for key in ("the-first-api-key\n", "the-second-api-key"):
        (tmp_path / "key").write_text(key)
        asked.ask("?", 5, 2)
    assert model.tokens == ["Bearer the-first-api-key", "Bearer the-second-api-key"]


@pytest.mark.parametrize(
    "content", [None, b"", b" \n", b"short", b"one-key-of-two\r\nX-Other: 1", b"\xff" * 20, "ключ".encode() * 9]
)
def test_without_a_proper_key_nothing_is_asked_and_the_file_is_named(
    model: StubModel, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "key"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    asked = Model(model.url, "m", str(file))
    answer = asked.ask("?", 5, 2)
    assert answer.problem == f"the file {file} holds no API key to ask with"
    assert answer.turned_away
    assert not answer.busy
    assert model.requests == []
    assert asked.metrics(2).tokens == 0, "the metrics need no key"


def test_an_engine_that_was_not_asked_is_told_from_a_broken_one(model: StubModel) -> None:
    for status, turned_away in ((401, True), (403, True), (404, True), (503, False), (500, False), (200, False)):
        model.status = status
        assert Model(model.url, "m").ask("?", 5, 2).turned_away is turned_away
    model.turns_away = True
    assert Model(model.url, "m").ask("?", 5, 2).turned_away
    assert not Model("http://127.0.0.1:9", "m").ask("?", 5, 2).turned_away


@pytest.mark.parametrize(("status", "busy"), [(500, False), (401, False), (404, False), (429, True), (503, True)])
def test_a_refusal_tells_its_reason_and_whether_the_server_may_only_be_busy(
    model: StubModel, status: int, *, busy: bool
) -> None:
    model.status = status
    answer = Model(model.url, "m").ask("?", 5, 2)
    assert answer.busy is busy
    assert answer.problem.startswith(f"HTTP {status}: ")
    assert "engine is dead" in answer.problem


def test_a_slow_server_is_busy(model: StubModel) -> None:
    model.answer = None
    answer = Model(model.url, "m").ask("?", 5, 0.05)
    assert answer.busy
    assert answer.problem == "no answer within 0.05 s"


def test_no_server_is_not_busy() -> None:
    answer = Model("http://127.0.0.1:9", "m").ask("?", 5, 2)
    assert not answer.busy
    assert "Connection refused" in answer.problem


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"choices": []}', '{"choices": [{"message": null}]}'])
def test_something_else_than_a_completion(server: StubServer, body: str) -> None:
    server.routes[("POST", "/v1/chat/completions")] = lambda _: (200, body)
    answer = Model(server.url, "m").ask("?", 5, 2)
    assert not answer.completed
    assert answer.problem.startswith("not a chat completion")


def test_proxies_of_the_environment_are_not_used(model: StubModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert Model(model.url, "m").ask("?", 5, 2).text


def test_tokens_are_summed_over_engines() -> None:
    assert sum_of(METRICS, "vllm:generation_tokens_total") == 15


def test_metrics_are_tokens_and_the_use_of_the_cache(server: StubServer) -> None:
    server.routes[("GET", "/metrics")] = lambda _: (200, METRICS)
    assert Model(server.url, "m").metrics(2) == Metrics(15, 0.25)


def test_a_missing_metric_is_not_zero(server: StubServer) -> None:
    assert sum_of("", "vllm:generation_tokens_total") is None
    assert Model(server.url, "m").metrics(2) == Metrics()
