"""vLLM sends a span of each request: its trace, its id, its tokens, and none of its text."""

import json
import urllib.request

from local import dev
from tests.serving import live, span_receiver
from tests.serving.conftest import Served
from tests.serving.recovery import wait_for

MARKER = "axolotl-5519-umbra"
REQUEST_ID = "traced-request-1"
TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SPAN_SECONDS = 60.0
"""vLLM's exporter sends in batches."""


def test_a_span_tells_of_a_request_and_nothing_of_its_text(closed: Served) -> None:
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {live.api_key()}",
        "X-Request-Id": REQUEST_ID,
        "traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01",
    }
    body = {
        "model": closed.outputs["servedModels"][0],
        "messages": [{"role": "user", "content": MARKER}],
        "max_tokens": 3,
    }
    url = live.service_url(closed.outputs["service"])
    with span_receiver.receiving() as received:
        request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=120) as response:
            usage = json.load(response)["usage"]
        wait_for("the span", lambda: any(span.trace_id == TRACE_ID for span in received.spans), SPAN_SECONDS)
    [span] = [span for span in received.spans if span.trace_id == TRACE_ID]
    assert span.service == f"vllm-{dev.STACK}"
    assert REQUEST_ID in span.attributes["gen_ai.request.id"]
    assert span.attributes["gen_ai.usage.prompt_tokens"] == usage["prompt_tokens"]
    assert span.attributes["gen_ai.usage.completion_tokens"] == usage["completion_tokens"] == 3
    assert not [message for message in received.messages if MARKER.encode() in message]
