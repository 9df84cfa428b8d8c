"""The dev stack that asks for keys, takes TLS, counts tokens and sends spans: one start of Ray for all these tests."""

import json
from typing import Any

from pulumi import automation

from local import dev, stack
from tests.serving import span_receiver
from tests.serving.dev_stack import changed

TEAM, TEAM_KEY = "team-a", "the-key-of-team-a"
TOKENS_PER_MINUTE = 150
HOST = "llm.example.com"
SECTIONS: dict[str, dict[str, Any]] = {
    "deepseek:endpoint": {
        "countTokens": True,
        "keys": {TEAM: {"tokensPerMinute": TOKENS_PER_MINUTE}},
        "host": HOST,
        "selfSigned": True,
    },
    "deepseek:monitoring": {"tracesEndpoint": span_receiver.ENDPOINT},
}


def closed_stack(**serving: Any) -> automation.Stack:
    """Return the stack, with these keys of `serving`; its `up` replaces the cluster of an open one."""
    of_file = stack.configuration(dev.STACK)["deepseek:serving"]
    closed = changed({"deepseek:serving": of_file | {"authentication": "key"} | serving, **SECTIONS})
    closed.set_config("deepseek:apiKeys", automation.ConfigValue(json.dumps({TEAM: TEAM_KEY}), secret=True))
    return closed
