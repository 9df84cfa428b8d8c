"""With `endpoint.accessLog` each request is a line of JSON, in which nothing of a prompt or a key is."""

import json
import time
from pathlib import Path
from typing import Any

from tests.endpoint.door import Door, running_door, running_engine, status_of
from tests.endpoint.test_paths import request

KEY, OTHER_KEY = "sk-the-first-key-of-all-0123", "sk-the-second-key-4567-8901"
MARKER = "a-marker-that-is-nowhere"
LINES_WITHIN_SECONDS = 10


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines() if line.startswith("{")]


def wait_for_lines(folder: Path, count: int) -> None:
    """HAProxy logs a request after its answer, and what ends meanwhile is not logged."""
    end = time.monotonic() + LINES_WITHIN_SECONDS
    while len(lines(folder)) < count and time.monotonic() < end:
        time.sleep(0.05)


def ask(door: Door, path: str, *headers: str, body: bytes = b"") -> int:
    text = "".join(f"{header}\r\n" for header in (*headers, f"Content-Length: {len(body)}"))
    return status_of(door.send(request("POST", path, text, body)))


def test_a_request_is_a_line_with_its_id_and_the_name_of_its_key(tmp_path: Path) -> None:
    keys = {"inner": KEY, "team-a": OTHER_KEY}
    with running_engine() as engine, running_door(tmp_path, engine, keys, access_log=True) as door:
        asked = ask(door, "/v1/completions", f"Authorization: Bearer {OTHER_KEY}", "X-Request-Id: mine-1", body=b"{}")
        refused = ask(door, "/v1/completions", "X-Request-Id: mine-2", body=b"{}")
        wait_for_lines(tmp_path, 2)
    assert (asked, refused) == (200, 401)
    first, second = lines(tmp_path)
    assert first.keys() == second.keys()
    told = ("id", "key", "method", "path", "status", "engine")
    assert [first[name] for name in told] == ["mine-1", "team-a", "POST", "/v1/completions", 200, "vllm"]
    assert [second[name] for name in told[:5]] == ["mine-2", "-", "POST", "/v1/completions", 401]
    assert first["sentBytes"] > 0
    assert first["totalMs"] >= first["firstByteMs"] >= 0


def test_no_prompt_no_key_and_no_other_text_of_a_client_is_in_it(tmp_path: Path) -> None:
    keys = {"inner": KEY, "team-a": OTHER_KEY}
    hostile = [
        ("/v1/completions", f"Authorization: Bearer {KEY}"),
        (f"/v1/completions?api_key={MARKER}", f"Authorization: Bearer {OTHER_KEY}"),
        (f"/{MARKER}", f"Authorization: Bearer {MARKER}"),
        (f'/v1/completions","key":"{MARKER}', "Authorization: Basic " + MARKER),
        ("/v1/completions", f"X-Request-Id: {MARKER}\\"),
        ("/v1/completions", f"X-Key-Name: {MARKER}"),
    ]
    with running_engine() as engine, running_door(tmp_path, engine, keys, access_log=True) as door:
        for path, header in hostile:
            ask(door, path, header, body=b'{"prompt": "' + MARKER.encode() + b'"}')
        door.send(f"GET /{MARKER} HTTP/9\r\n\r\n".encode())
        wait_for_lines(tmp_path, len(hostile))
    text = (tmp_path / "log").read_text()
    assert len(lines(tmp_path)) >= len(hostile)
    for secret in (KEY, OTHER_KEY, MARKER):
        assert secret not in text


def test_nothing_is_logged_unless_it_is_asked_for(tmp_path: Path) -> None:
    with running_engine() as engine, running_door(tmp_path, engine) as door:
        ask(door, "/v1/completions", body=b"{}")
    assert lines(tmp_path) == []
