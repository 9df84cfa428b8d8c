"""What all configurations of HAProxy here have in common: bounds, name resolution, probe, metrics, the form of errors.

Source of the directives: HAProxy 2.6, configuration.txt.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from components.ray_cluster.ray_cluster import PORT
from components.shared.engine_names import AGENT_PORT

PROBE_PORT = 8404
"""Where the kubelet asks whether a proxy runs, and a Prometheus for its metrics. It is no part of the Service."""

MOST_FILES = 21_000
"""Open at a time: for 10,000 connections of clients, or for fewer where the node allows a pod fewer files."""

MOST_IN_FLIGHT = 1024
"""Requests that one proxy has at vLLM at a time. Two proxies have what vLLM takes (vllm_arguments.MOST_REQUESTS)."""

CONNECTS = 5
"""Further attempts to connect to vLLM, a second apart where it refuses: the packet filter's rules for a new proxy come
a moment after it. Nothing of the request has been sent until then."""

ASKED_ELSEWHERE = (401, 404)
"""What an engine answers that has another key, or serves another model, than the one whose turn it was already."""

LONGEST_SILENCE = "1h"
"""How long neither side may send a byte. An answer that is no stream comes all at once, at its end."""

CONFIGURATION_FOLDER, KEYS_FOLDER, TLS_FOLDER = "/configuration", "/keys", "/tls"

TLS_PORT = 8443
CERTIFICATE = "server.pem"
"""The certificate's file; HAProxy looks for its key in one of the same name with `.key` behind it."""

MOST_BODY_BYTES = 16 * 1024 * 1024
"""A prompt of 131,072 tokens is about 1 MB."""

BOUNDED_BODY = Path(__file__).with_name("bounded_body.lua")
"""The filter that bounds bodies whose length is not said."""

CONVERSATION = Path(__file__).with_name("conversation.lua")
"""The fetch that names the engine of a conversation."""

CONVERSATION_ID = "X-Session-ID"
"""The header by which a client says that requests belong together. vLLM 0.32 reads it, too, and tells it to those who
follow its cache (`entrypoints/generate/base/serving.py`)."""

CERTIFICATE_END = Path(__file__).with_name("certificate_end.lua")
"""The converter that makes seconds since the epoch of the time at which a certificate ends."""

CERTIFICATE_END_PATH = "/certificate"
"""Where a proxy with TLS tells a Prometheus when its certificate ends, at PROBE_PORT."""

RETRY_AFTER_SECONDS = 5

ERRORS = (
    (400, f"The request is not well-formed HTTP, or its body has more than {MOST_BODY_BYTES} bytes."),
    (408, "The request did not arrive in time."),
    (500, "The proxy failed."),
    (502, "The model's server broke off."),
    (503, "The model is not served now, or too many requests wait for it."),
    (504, "The model's server did not answer in time."),
)
"""What HAProxy finds by itself, and what it says to the client."""


def configuration(*parts: str, tls: bool = False) -> str:
    """Return haproxy.cfg with these proxies (`frontend`, `backend`) in it; with `tls` it tells when a certificate ends.

    HAProxy reads its environment: LISTEN, every address of the pod (`0.0.0.0` or `::`); FAMILY, `ipv4` or `ipv6`; and
    DOMAIN, what follows the name of a Service of the namespace.
    """
    common = (_GLOBAL + (_LOAD_CERTIFICATE_END if tls else ""), _defaults(), _RESOLVERS, _probe(tls=tls))
    return "\n\n".join((*common, *parts, *([_CERTIFICATE] if tls else []))) + "\n"


def programs_of(text: str) -> list[Path]:
    """Return the Lua programs that a configuration loads from CONFIGURATION_FOLDER."""
    return [program for program in (BOUNDED_BODY, CERTIFICATE_END, CONVERSATION) if f"/{program.name}" in text]


def server(name: str, service: str, port: int, *, most: int) -> str:
    """Return the server `name`, a Service of the namespace whose address is followed, and `most` requests at a time."""
    found = 'resolvers cluster resolve-prefer "${FAMILY}" init-addr libc,none'
    return f'server {name} "{service}${{DOMAIN}}:{port}" maxconn {most} {found}'


def engine_server(engine: str, supervisor: str, name: str = "vllm") -> str:
    """Return the vLLM that the Service `engine` selects, as a server that takes no request while it drains.

    The pod behind the Service `supervisor` says so. If it cannot be asked, that counts as one that says nothing.
    """
    agent = f"agent-check agent-inter 1s agent-addr {supervisor} agent-port {AGENT_PORT}"
    return f"{server(name, engine, PORT, most=MOST_IN_FLIGHT)} {agent}"


def backend_engine(engines: Sequence[str]) -> str:
    """Return the backend of vLLM: its engines, servers as `engine_server` returns them.

    Of several the one is asked to which the request's conversation belongs (conversation.lua), and without
    CONVERSATION_ID the one with the fewest requests; another one where it takes no connection. It gets no more
    requests then, until it does: not every network refuses connections to a Service without pods, and one that drops
    them would let each request wait. Another one is also asked where it answers one of ASKED_ELSEWHERE. For this a
    request is sent on when all of it is there, or as much of it as HAProxy's buffer takes (`tune.bufsize` without
    `tune.maxrewrite`, 15 KiB with the headers); a larger one is asked once.
    """
    elsewhere = " ".join(str(status) for status in ASKED_ELSEWHERE)
    divided = (
        "balance leastconn",
        "option redispatch 1",
        "option http-buffer-request",
        f"retry-on conn-failure {elsewhere}",
        *_BY_CONVERSATION,
    )
    several = "".join(f"\n    {line}" for line in divided) if len(engines) > 1 else ""
    checked = " check inter 1s fall 2 rise 1" if len(engines) > 1 else ""
    servers = "\n    ".join(f"{engine}{checked}" for engine in engines)
    loaded = _LOAD_CONVERSATION if len(engines) > 1 else ""
    return f"""{loaded}backend engine
    retries {CONNECTS}{several}
    {servers}"""


def answer(status: int, text: str, code: str | None = None, retry_after: int = RETRY_AFTER_SECONDS) -> str:
    """Return an error as the OpenAI API words it, for `http-error` and `http-request return`.

    With 429, 502 and 503 the client learns after how many seconds to try again.
    """
    kind = "requests" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    error = {"message": text, "type": kind, "code": code or status, "param": None}
    body = json.dumps({"error": error}).replace("'", r"'\''")
    header = f" hdr Retry-After {retry_after}" if status in {429, 502, 503} else ""
    return f"content-type application/json string '{body}'{header}"


_GLOBAL = f"""global
    log stdout format raw daemon notice
    fd-hard-limit {MOST_FILES}
    nbthread 2
    lua-load-per-thread {CONFIGURATION_FOLDER}/{BOUNDED_BODY.name}"""

_LOAD_CERTIFICATE_END = f"""
    lua-load-per-thread {CONFIGURATION_FOLDER}/{CERTIFICATE_END.name}"""

_LOAD_CONVERSATION = f"""global
    lua-load-per-thread {CONFIGURATION_FOLDER}/{CONVERSATION.name}

"""

_NAMES_ONE = f"{{ req.fhdr_cnt({CONVERSATION_ID}) eq 1 }} {{ req.fhdr({CONVERSATION_ID}) -m len 1: }}"
_BY_CONVERSATION = (
    f"http-request set-var(txn.engine) lua.engine_of_conversation({CONVERSATION_ID}) if {_NAMES_ONE}",
    "use-server %[var(txn.engine)] if { var(txn.engine) -m found }",
)

_CERTIFICATE = f"""backend certificate
    server itself abns@certificate ssl verify none

frontend certificate
    bind abns@certificate ssl crt {TLS_FOLDER}/{CERTIFICATE}
    no log
    http-request return status 200 content-type "text/plain; version=0.0.4" \
lf-string "deepseek_endpoint_certificate_end_seconds %[ssl_f_notafter,lua.seconds]\\n\""""
"""HAProxy knows the end of a certificate only where it presents it, so it comes to itself by TLS. The address is one of
the pod alone (an abstract socket)."""

_RESOLVERS = """resolvers cluster
    parse-resolv-conf
    hold valid 10s
    hold nx 24d
    hold refused 24d
    hold timeout 24d
    hold other 24d"""
"""A new address holds at once. The last one stays as long as there is no other: DNS that fails cuts nobody."""


def _defaults() -> str:
    errors = "\n".join(f"    http-error status {status} {answer(status, text)}" for status, text in ERRORS)
    return f"""defaults
    mode http
    log global
    option dontlognull
    option http-no-delay
    timeout http-request 10s
    timeout http-keep-alive 2m
    timeout client {LONGEST_SILENCE}
    timeout client-fin 30s
    timeout queue 30s
    timeout connect 5s
    timeout server {LONGEST_SILENCE}
{errors}"""


def _probe(*, tls: bool) -> str:
    elsewhere = f" unless {{ path {CERTIFICATE_END_PATH} }}\n    default_backend certificate" if tls else ""
    return f"""frontend probe
    bind "${{LISTEN}}:{PROBE_PORT}"
    no log
    monitor-uri /ready
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request return status 404{elsewhere}"""
