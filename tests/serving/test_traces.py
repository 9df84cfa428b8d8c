"""vLLM sends a span of each request: its trace, its id, its tokens, and none of its text.

It asks the stack that test_require_key.py has closed; alone, it closes it.
"""

import json
import urllib.request

import pytest

from local import dev, stack
from tests.serving import live, span_receiver
from tests.serving.closed_stack import closed_stack
from tests.serving.conftest import Served
from tests.serving.recovery import wait_for

MARKER = "axolotl-5519-umbra"
REQUEST_ID = "traced-request-1"
TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SPAN_SECONDS = 60.0
"""vLLM's exporter sends in batches."""


@pytest.fixture
def traced(served: Served) -> str:
    """Return where the traced stack's clients ask."""
    closed_stack().up(on_output=stack.show)
    return live.service_url(served.outputs["service"])


def test_a_span_tells_of_a_request_and_nothing_of_its_text(traced: str, served: Served) -> None:
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {live.api_key()}",
        "X-Request-Id": REQUEST_ID,
        "traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01",
    }
    body = {
        "model": served.outputs["servedModels"][0],
        "messages": [{"role": "user", "content": MARKER}],
        "max_tokens": 3,
    }
    with span_receiver.receiving() as received:
        request = urllib.request.Request(f"{traced}/v1/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=120) as response:
            usage = json.load(response)["usage"]
        wait_for("the span", lambda: any(span.trace_id == TRACE_ID for span in received.spans), SPAN_SECONDS)
    [span] = [span for span in received.spans if span.trace_id == TRACE_ID]
    assert span.service == f"vllm-{dev.STACK}"
    assert REQUEST_ID in span.attributes["gen_ai.request.id"]
    assert span.attributes["gen_ai.usage.prompt_tokens"] == usage["prompt_tokens"]
    assert span.attributes["gen_ai.usage.completion_tokens"] == usage["completion_tokens"] == 3
    assert not [message for message in received.messages if MARKER.encode() in message]
