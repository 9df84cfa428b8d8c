"""Limits of keys by name, counted in one place for all proxies: a HAProxy behind them that requests of such keys pass.

HAProxy's own way to share counts, `peers`, sends the value of one proxy over that of the other and adds nothing up.
Source of the directives: HAProxy 2.6, configuration.txt.
"""

import math
from collections.abc import Mapping, Sequence

from components.endpoint.haproxy_sections import (
    RETRY_AFTER_SECONDS,
    answer,
    backend_engine,
    configuration,
)
from planning.settings.sections.endpoint import KeyLimits

LIMITS_PORT = 8001
KEY_NAME = "X-Key-Name"
"""The header in which a proxy says whose request it is. What a client sends under this name never gets here."""


def limits_configuration(engines: Sequence[str], limits: Mapping[str, KeyLimits]) -> str:
    """Return haproxy.cfg of the pod that counts, before the engines, servers as `engine_server` returns them.

    A request that is refused does not count against requestsPerMinute.
    """
    rules = "\n".join(line for name, limit in limits.items() for line in _rules(name, limit))
    counting = f"""frontend limits
    bind "${{LISTEN}}:{LIMITS_PORT}"
    no log
    http-request track-sc0 req.hdr({KEY_NAME}) table names
{rules}
    http-request sc-inc-gpc0(0)
    default_backend engine"""
    names = """backend names
    stick-table type string len 64 size 1k expire 2m store conn_cur,gpc0,gpc0_rate(1m)"""
    return configuration(counting, names, backend_engine(engines))


def _rules(name: str, limit: KeyLimits) -> list[str]:
    is_name = f"{{ req.hdr({KEY_NAME}) -m str {name} }}"
    rules: list[str] = []
    if at_once := limit.get("concurrency"):
        text = f"The key '{name}' may have {at_once} requests under way at once."
        rules.append(_refusal(text, RETRY_AFTER_SECONDS, f"{is_name} {{ sc0_conn_cur gt {at_once} }}"))
    if per_minute := limit.get("requestsPerMinute"):
        text = f"The key '{name}' may send {per_minute} requests a minute."
        # By then the sliding minute has room for one more.
        seconds = math.ceil(60 / per_minute)
        rules.append(_refusal(text, seconds, f"{is_name} {{ sc0_gpc0_rate ge {per_minute} }}"))
    return rules


def _refusal(text: str, seconds: int, condition: str) -> str:
    return f"    http-request return status 429 {answer(429, text, 'rate_limit_exceeded', seconds)} if {condition}"
