"""The configuration of HAProxy: what the door lets through to vLLM, and what it answers itself.

Refused by default: a request reaches vLLM only if its method and path are listed, in the form of a plain HTTP request.
Source of the directives: HAProxy 2.6, configuration.txt.
"""

import json
from pathlib import Path

from components.endpoint.key_map import KEY_MAP
from components.ray_cluster.ray_cluster import PORT

PROBE_PORT = 8404
"""Where the kubelet asks whether a proxy runs, and a Prometheus for its metrics. It is no part of the Service."""

MOST_FILES = 21_000
"""Open at a time: for 10,000 connections of clients, or for fewer where the node allows a pod fewer files."""

MOST_IN_FLIGHT = 1024
"""Requests that one proxy has at vLLM at a time. Two proxies have what vLLM takes (vllm_arguments.MOST_REQUESTS)."""

MOST_QUEUED = 512
"""Requests that wait at one proxy; the next gets HTTP 503."""

MOST_BODY_BYTES = 16 * 1024 * 1024
"""A prompt of 131,072 tokens is about 1 MB."""

CONNECTS = 5
"""Further attempts to connect to vLLM, a second apart where it refuses: the packet filter's rules for a new proxy come
a moment after it. Nothing of the request has been sent until then."""

LONGEST_SILENCE = "1h"
"""How long neither side may send a byte. An answer that is no stream comes all at once, at its end."""

CONFIGURATION_FOLDER, KEYS_FOLDER = "/configuration", "/keys"

BOUNDED_BODY = Path(__file__).with_name("bounded_body.lua")
"""The filter that bounds bodies whose length is not said."""

RETRY_AFTER = "hdr Retry-After 5"

ERRORS = (
    (400, f"The request is not well-formed HTTP, or its body has more than {MOST_BODY_BYTES} bytes."),
    (408, "The request did not arrive in time."),
    (500, "The proxy failed."),
    (502, "The model's server broke off."),
    (503, "The model is not served now, or too many requests wait for it."),
    (504, "The model's server did not answer in time."),
)
"""What HAProxy finds by itself, and what it says to the client."""


def haproxy_configuration(engine: str, *, guarded: bool) -> str:
    """Return haproxy.cfg of a proxy before `engine`, the Service of vLLM; `guarded` by the keys of key_map.py.

    HAProxy reads its environment: LISTEN, every address of the pod (`0.0.0.0` or `::`); FAMILY, `ipv4` or `ipv6`;
    DOMAIN, what follows the name of a Service of the namespace; and, if it is guarded, INNER_KEY, which vLLM wants.
    """
    parts = (_GLOBAL, _defaults(), _RESOLVERS, _probe(), _door(_GUARD if guarded else ""), _engine(engine))
    return "\n\n".join(parts) + "\n"


_GLOBAL = f"""global
    log stdout format raw daemon notice
    fd-hard-limit {MOST_FILES}
    nbthread 2
    lua-load-per-thread {CONFIGURATION_FOLDER}/{BOUNDED_BODY.name}"""

_RESOLVERS = """resolvers cluster
    parse-resolv-conf
    hold valid 10s
    hold nx 24d
    hold refused 24d
    hold timeout 24d
    hold other 24d"""
"""A new address holds at once. The last one stays as long as there is no other: DNS that fails cuts nobody."""


def _defaults() -> str:
    errors = "\n".join(f"    http-error status {status} {_answer(status, text)}" for status, text in ERRORS)
    return f"""defaults
    mode http
    log global
    option dontlognull
    timeout http-request 10s
    timeout http-keep-alive 2m
    timeout client {LONGEST_SILENCE}
    timeout client-fin 30s
    timeout queue 30s
    timeout connect 5s
    timeout server {LONGEST_SILENCE}
{errors}"""


def _probe() -> str:
    return f"""frontend probe
    bind "${{LISTEN}}:{PROBE_PORT}"
    no log
    monitor-uri /ready
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request return status 404"""


def _door(guard: str) -> str:
    return f"""frontend door
    bind "${{LISTEN}}:{PORT}"
    no log
    filter lua.bounded-body {MOST_BODY_BYTES}
    acl plain url_beg /
    acl generates path -m str /v1/chat/completions /v1/completions /v1/responses
    acl lists path -m str /v1/models
    acl health path -m str /health
    acl reads method -m str GET
    http-request return {_refusal(404, "There is nothing at this path.")} unless plain generates or plain lists or \
plain health
    http-request return status 204 hdr Access-Control-Allow-Origin * hdr Access-Control-Allow-Methods "GET, POST" \
hdr Access-Control-Allow-Headers "%[req.fhdr(access-control-request-headers)]" if METH_OPTIONS
    http-request return {_refusal(405, "This path takes another method.")} unless generates METH_POST or \
lists reads or health reads
{guard}    http-request return {_refusal(413, f"The body has more than {MOST_BODY_BYTES} bytes.")} if \
{{ req.body_size gt {MOST_BODY_BYTES} }}
    http-request return {_refusal(503, "Too many requests wait for the model.")} if {{ queue(engine) ge {MOST_QUEUED} }}
    http-request del-header Upgrade
    default_backend engine"""


def _engine(engine: str) -> str:
    return f"""backend engine
    retries {CONNECTS}
    server vllm "{engine}${{DOMAIN}}:{PORT}" maxconn {MOST_IN_FLIGHT} resolvers cluster resolve-prefer "${{FAMILY}}" \
init-addr libc,none"""


def _refusal(status: int, text: str) -> str:
    return f"status {status} {_answer(status, text)}"


def _answer(status: int, text: str, code: str | None = None) -> str:
    """Return an error as the OpenAI API words it, for `http-error` and `http-request return`."""
    error = {
        "message": text,
        "type": "server_error" if status >= 500 else "invalid_request_error",
        "code": code or status,
    }
    body = json.dumps({"error": error | {"param": None}}).replace("'", r"'\''")
    return f"content-type application/json string '{body}'" + (f" {RETRY_AFTER}" if status in {502, 503} else "")


_GUARD = f"""\
    acl one_key req.fhdr_cnt(authorization) eq 1
    acl bearer req.fhdr(authorization) -m reg -i '^bearer +[!-~]+$'
    http-request set-var(txn.key) req.fhdr(authorization),regsub(^bearer[[:space:]]+,,i),sha2(256),hex,\
map_str({KEYS_FOLDER}/{KEY_MAP}) if one_key bearer
    acl known var(txn.key) -m found
    http-request return status 401 {
    _answer(401, "This server needs a key: send the header 'Authorization: Bearer KEY'.", "invalid_api_key")
} hdr WWW-Authenticate Bearer unless health or one_key known
    http-request del-header Authorization
    http-request set-header Authorization "Bearer %[env(INNER_KEY)]" unless health
"""
"""A variable that was never set lets nobody in: what is not known is refused."""
