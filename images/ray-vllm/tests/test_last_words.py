from last_words import last_words

REFUSED = """INFO 11-24 22:00:01 [__init__.py:216] Automatically detected platform cuda.
usage: vllm serve [model_tag] [options]
vllm serve: error: unrecognized arguments: --nope""".splitlines()

NO_MEMORY = """\x1b[1;36m(EngineCore_DP0 pid=99)\x1b[0;0m ERROR 08-01 12:00:00 [core.py:700] EngineCore failed to start.
(EngineCore_DP0 pid=99) ERROR 08-01 12:00:00 [core.py:700] Traceback (most recent call last):
(EngineCore_DP0 pid=99) ERROR 08-01 12:00:00 [core.py:700]   File "/x/core.py", line 691, in run_engine_core
(EngineCore_DP0 pid=99) ERROR 08-01 12:00:00 [core.py:700] ValueError: No available memory for the cache blocks.
(EngineCore_DP0 pid=99) Traceback (most recent call last):
(EngineCore_DP0 pid=99)   File "/x/core.py", line 704, in run_engine_core
(EngineCore_DP0 pid=99) ValueError: No available memory for the cache blocks.
(APIServer pid=1) Traceback (most recent call last):
(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
""".splitlines()

RANK_DIED = """\x1b[36m(RayWorkerProc pid=8, ip=198.18.9.2)\x1b[0m (Worker_TP1 pid=8) INFO 11-24 23:39:33 [x.py:5] MoE
(EngineCore pid=22110) ERROR 11-24 23:40:17 [ray_executor.py:5] RayWorkerProc rank=[1] died unexpectedly.
(EngineCore pid=22110) ERROR 11-24 23:40:17 [core.py:1512]     raise RuntimeError("Executor failed.")
(EngineCore pid=22110) ERROR 11-24 23:40:17 [core.py:1512] RuntimeError: Executor failed.
(APIServer pid=18652) ERROR 11-24 23:40:17 [async_llm.py:906] vllm.v1.engine.exceptions.EngineDeadError: Core
INFO:     Finished server process [18652]""".splitlines()

ENGINE_KILLED = """INFO:     127.0.0.1:35998 - "POST /v1/chat/completions HTTP/1.1" 200 OK
(APIServer pid=3) WARNING 11-25 01:53:13 [core.py:8] [shutdown] MPClient: engine core exited unexpectedly; cleanup
(APIServer pid=3) ERROR 11-25 01:53:13 [async_llm.py:906] vllm.v1.engine.exceptions.EngineDeadError: Core
(APIServer pid=530) ERROR 11-25 01:53:13 [serving.py:500] Error in chat completion stream generator.
INFO:     127.0.0.1:35998 - "POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error""".splitlines()

INVALID = """(APIServer pid=7) pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
(APIServer pid=7)   Value error, User-specified max_model_len (9) is greater than the derived max_model_len
(APIServer pid=7)     For further information visit the documentation""".splitlines()


def test_a_refused_flag() -> None:
    assert last_words(REFUSED) == "vllm serve: error: unrecognized arguments: --nope"


def test_the_cause_once_and_not_what_follows_from_it() -> None:
    assert last_words(NO_MEMORY) == "ValueError: No available memory for the cache blocks."


def test_a_rank_that_died() -> None:
    assert last_words(RANK_DIED) == "RayWorkerProc rank=[1] died unexpectedly."


def test_what_cleaning_up_says_is_no_cause() -> None:
    cleaning = "(EngineCore pid=6) ERROR 11-25 18:12:46 [x.py:5] ray.exceptions.ActorHandleNotFoundError: Failed"
    assert last_words([*NO_MEMORY, cleaning]) == "ValueError: No available memory for the cache blocks."


def test_the_consequence_where_nothing_else_was_said() -> None:
    assert last_words(NO_MEMORY[-2:]).startswith("RuntimeError: Engine core initialization failed")


def test_a_validation_error_with_what_it_is() -> None:
    words = last_words(INVALID)
    assert words.startswith(
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig Value error,"
    )
    assert "max_model_len (9)" in words


def test_the_last_lines_where_no_error_is_named() -> None:
    assert last_words([f"line {number}" for number in range(9)] + [""]) == "line 4 | line 5 | line 6 | line 7 | line 8"


def test_the_last_three_of_many() -> None:
    assert last_words([f"AError: {number}" for number in range(9)]) == "AError: 6 | AError: 7 | AError: 8"


def test_what_native_code_says() -> None:
    lines = ["terminate called after throwing an instance of 'c10::Error'", "  what():  CUDA error: misaligned address"]
    assert last_words(lines) == " | ".join(line.strip() for line in lines)


def test_an_engine_that_was_killed() -> None:
    assert last_words(ENGINE_KILLED) == "[shutdown] MPClient: engine core exited unexpectedly; cleanup"


def test_requests_are_no_last_words() -> None:
    assert last_words(["the last thing", *ENGINE_KILLED[:1]]) == "the last thing"


def test_an_error_without_words() -> None:
    assert last_words(["  File x", "AssertionError", "done"]) == "AssertionError"


def test_nothing() -> None:
    assert last_words([]) == ""
