"""The dev stack that asks for a key, and sends a span of each request: one start of vLLM for the tests of both."""

from pulumi import automation

from local import dev, stack
from tests.serving import span_receiver
from tests.serving.dev_stack import changed

TRACED = {"deepseek:monitoring": {"tracesEndpoint": span_receiver.ENDPOINT}}


def closed_stack() -> automation.Stack:
    """Return the stack; its `up` replaces the cluster of an open one."""
    serving = stack.configuration(dev.STACK)["deepseek:serving"] | {"authentication": "key"}
    return changed({"deepseek:serving": serving, **TRACED})
