"""The configuration of the proxies: what the door lets through to vLLM, and what it answers itself.

Refused by default: a request reaches vLLM only if its method and path are listed, in the form of a plain HTTP request.
Source of the directives: HAProxy 2.6, configuration.txt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.endpoint.haproxy_sections import (
    CERTIFICATE,
    CONNECTS,
    KEYS_FOLDER,
    MOST_BODY_BYTES,
    MOST_IN_FLIGHT,
    TLS_FOLDER,
    TLS_PORT,
    answer,
    backend_engine,
    configuration,
    server,
)
from components.endpoint.key_map import KEY_MAP
from components.endpoint.limits import KEY_NAME, LIMITS_PORT
from components.ray_cluster.ray_cluster import PORT

MOST_QUEUED = 512
"""Requests that wait at one proxy; the next gets HTTP 503."""

RETRY_AFTER_A_PAUSE_SECONDS = 60
"""OpenAI's clients wait as long as they are told, up to a minute."""


REQUEST_ID = "X-Request-Id"
"""The header by which a client finds its request again. A proxy makes an id where the client sent no plain one."""

TOKEN_LIMIT = "X-Key-Tokens-Per-Minute"  # noqa: S105  tokens of a text
"""The header in which a proxy tells vLLM the limit of a key (images/ray-vllm/programs/head/count_tokens.py)."""


@dataclass(frozen=True, kw_only=True)
class DoorRules:
    """Whom the door lets in, and what it does for vLLM."""

    guarded: bool
    """By the keys of key_map.py."""

    tls: bool = False
    """Clients come to TLS_PORT, and the NetworkPolicy lets the stack's own Jobs alone come to PORT."""

    paused: bool = False
    """The door answers for vLLM."""

    limited: Sequence[str] = ()
    """Names of keys whose requests pass the pod that counts them (limits.py)."""

    access_log: bool = False
    """A line of JSON for each request goes to the standard output."""

    counts_tokens: bool = False
    """vLLM counts tokens by the names that the door tells it."""

    token_limits: Mapping[str, int] = field(default_factory=dict[str, int])
    """Tokens a minute by name, which vLLM holds."""


def haproxy_configuration(engines: Sequence[str], rules: DoorRules, *, counter: str = "") -> str:
    """Return haproxy.cfg of a proxy before the engines, servers as `engine_server` returns them.

    `counter` is the Service of the pod that counts. Beside what every configuration reads from its environment, a
    guarded proxy reads INNER_KEY, which vLLM wants.
    """
    first = (_GUARD if rules.guarded else "") + (_PAUSED if rules.paused else "")
    told = _told(rules.token_limits) if rules.counts_tokens else ""
    limited = _limited(rules.limited) if rules.limited else ""
    logged = _ACCESS_LOG if rules.access_log else "    no log\n"
    door = _door((_TLS if rules.tls else "") + logged, first, told + limited)
    counting = [_counter(counter, engines)] if rules.limited else []
    return configuration(door, backend_engine(engines), *counting, tls=rules.tls)


def _door(binds: str, rules: str, limited: str) -> str:
    return f"""frontend door
    bind "${{LISTEN}}:{PORT}"
{binds}    filter lua.bounded-body {MOST_BODY_BYTES}
{_REQUEST_ID}    acl plain url_beg /
    acl generates path -m str /v1/chat/completions /v1/completions /v1/responses
    acl lists path -m str /v1/models
    acl health path -m str /health
    acl reads method -m str GET
    http-request set-var(txn.path) path if plain generates or plain lists or plain health
    http-request return {_refusal(404, "There is nothing at this path.")} unless plain generates or plain lists or \
plain health
    http-request return status 204 hdr Access-Control-Allow-Origin * hdr Access-Control-Allow-Methods "GET, POST" \
hdr Access-Control-Allow-Headers "%[req.fhdr(access-control-request-headers)]" if METH_OPTIONS
    http-request return {_refusal(405, "This path takes another method.")} unless generates METH_POST or \
lists reads or health reads
    http-request del-header {KEY_NAME}
{rules}    http-request return {_refusal(413, f"The body has more than {MOST_BODY_BYTES} bytes.")} if \
{{ req.body_size gt {MOST_BODY_BYTES} }}
    http-request return {_refusal(503, "Too many requests wait for the model.")} if {{ queue(engine) ge {MOST_QUEUED} }}
    http-request del-header Upgrade
{limited}    default_backend engine"""


def _told(token_limits: Mapping[str, int]) -> str:
    """Return how vLLM learns the name of a request's key, and the key's limit."""
    limits = "".join(
        f"    http-request set-header {TOKEN_LIMIT} {limit} if {{ var(txn.key) -m str {name} }}\n"
        for name, limit in token_limits.items()
    )
    return f"""\
    http-request del-header {TOKEN_LIMIT}
    http-request set-header {KEY_NAME} %[var(txn.key)] if known
{limits}"""


def _limited(names: Sequence[str]) -> str:
    """Return how requests with limited keys come to the pod that counts, and with whose name."""
    return f"""\
    acl limited var(txn.key) -m str {" ".join(names)}
    http-request set-header {KEY_NAME} %[var(txn.key)] if limited
    use_backend counter if generates limited
"""


def _counter(counter: str, engines: Sequence[str]) -> str:
    """Return the backend of the pod that counts; without it requests go to vLLM uncounted."""
    together = "\n    option allbackups" if len(engines) > 1 else ""
    backups = "\n    ".join(f"{engine} backup" for engine in engines)
    return f"""backend counter
    retries {CONNECTS}
    option redispatch{together}
    {server("counter", counter, LIMITS_PORT, most=MOST_IN_FLIGHT)} check inter 1s fall 2 rise 1
    {backups}"""


def _refusal(status: int, text: str) -> str:
    return f"status {status} {answer(status, text)}"


_TLS = f"""\
    bind "${{LISTEN}}:{TLS_PORT}" ssl crt {TLS_FOLDER}/{CERTIFICATE} ssl-min-ver TLSv1.2 alpn http/1.1
"""

_REQUEST_ID = f"""\
    acl one_id req.fhdr_cnt({REQUEST_ID}) eq 1
    acl plain_id req.fhdr({REQUEST_ID}) -m reg '^[A-Za-z0-9._-]{{1,64}}$'
    http-request set-var(txn.id) req.fhdr({REQUEST_ID}) if one_id plain_id
    http-request set-var(txn.id) uuid unless one_id plain_id
    http-request set-header {REQUEST_ID} %[var(txn.id)]
    http-after-response set-header {REQUEST_ID} %[var(txn.id)] if {{ var(txn.id) -m found }}
"""
"""It stands before every refusal, so that these have the id too. vLLM takes the header into its own id of a request."""

_ACCESS_LOG = """\
    log stdout format raw local0 info
    log-format '{"at":%Ts.%ms,"id":"%[var(txn.id)]","key":"%[var(txn.key)]","method":"%HM","path":"%[var(txn.path)]",\
"status":%ST,"sentBytes":%B,"queuedMs":%Tw,"firstByteMs":%Tr,"totalMs":%Ta,"engine":"%s","ended":"%tsc"}'
"""
"""Only what cannot carry a client's text: the id is plain, `path` is one of the API's, `key` is a name, `-` is none.
Times are milliseconds, -1 where it did not come so far; `ended` is HAProxy's termination state (its section 8.5)."""

_PAUSED = f"""\
    http-request return status 503 {
    answer(503, "The model is paused by its operators. Try again later.", "paused", RETRY_AFTER_A_PAUSE_SECONDS)
} if TRUE
"""

_GUARD = f"""\
    acl one_key req.fhdr_cnt(authorization) eq 1
    acl bearer req.fhdr(authorization) -m reg -i '^bearer +[!-~]+$'
    http-request set-var(txn.key) req.fhdr(authorization),regsub(^bearer[[:space:]]+,,i),sha2(256),hex,\
map_str({KEYS_FOLDER}/{KEY_MAP}) if one_key bearer
    acl known var(txn.key) -m found
    http-request deny deny_status 401 {
    answer(401, "This server needs a key: send the header 'Authorization: Bearer KEY'.", "invalid_api_key")
} hdr WWW-Authenticate Bearer unless health or one_key known
    http-request del-header Authorization
    http-request set-header Authorization "Bearer %[env(INNER_KEY)]" unless health
"""
"""A variable that was never set lets nobody in: what is not known is refused. HAProxy counts as denied this alone
(`haproxy_frontend_requests_denied_total`, by which the alert ModelKeysRefused fires)."""
