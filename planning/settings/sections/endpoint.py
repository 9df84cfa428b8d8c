"""The keys of deepseek:endpoint."""

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from planning.settings.sections.base import REPLACES_CLUSTER, Count, Name, Section, Text, changing

PROXY = "library/haproxy:2.6-trixie"
"""The image of the proxies, below `image.mirror`, where `endpoint.image` names no other."""

PROXY_DIGEST = "sha256:27d5ea8c22a63b2f072974b3d15e34816ee7f19fa68d13e37ec1d69e2a5df8d1"
"""What Docker Hub has under that name with HAProxy 2.6.34: the index of all platforms.

Source: docker-library/repo-info, repos/haproxy/remote/2.6-trixie.md at 0ed0a0e. A mirror's own may be another one.
"""

HOST_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$"


@with_config(ConfigDict(extra="forbid", strict=True))
class KeyLimits(TypedDict, total=False):
    """How much the holder of one key may ask for."""

    requestsPerMinute: Count
    concurrency: Count
    tokensPerMinute: Count


@with_config(ConfigDict(extra="forbid", strict=True))
class Gateway(TypedDict):
    """A listener of a Gateway of the Gateway API."""

    name: Name
    listener: Name
    namespace: NotRequired[Name]


class Endpoint(Section):
    """The door through which clients reach the model: a proxy before vLLM."""

    proxy: bool = Field(
        default=True,
        description=(
            "Whether two pods of HAProxy stand between clients and vLLM. They pass the OpenAI paths, `/v1/models` and "
            "`/health`, and answer everything else themselves. Only they and the supervisor reach vLLM's port, so "
            "vLLM's `/metrics` are read with `deepseek:monitoring` only. The Service keeps its name; the Service "
            "of vLLM is then called `deepseek-engine`."
        ),
        json_schema_extra=changing(
            "starts the proxies and points the Service at them when they are ready, or points it at vLLM and ends the "
            "proxies; nothing that serves is replaced. Answers that come by the old way may be cut"
        ),
    )
    image: Text | None = Field(
        default=None,
        description=(
            "HAProxy image of the proxies, with its digest: they see every key and prompt. If unset it is the official "
            "one of HAProxy 2.6 from `image.mirror`: from Docker Hub by its digest, from a registry of your own by its "
            "tag."
        ),
        examples=["docker.io/library/haproxy:2.6-trixie@sha256:…"],
        json_schema_extra=changing("replaces the proxies one after the other; answers under way are finished first"),
    )
    keys: dict[str, KeyLimits] = Field(
        default={},
        description=(
            "Limits of keys of `apiKeys`, by name: `requestsPerMinute`, and `concurrency`, how many requests may be "
            "under way at once. They hold for all proxies together: one more pod of HAProxy counts the requests of "
            "these keys. While that pod is gone, such as when its node is drained, they pass uncounted. "
            "`tokensPerMinute`, of prompts and answers, is held by vLLM, with `countTokens`. Beyond a limit a request "
            "gets HTTP 429 with Retry-After."
        ),
        examples=["{team-a: {requestsPerMinute: 600, concurrency: 32}}"],
        json_schema_extra=changing(
            "replaces the pod that counts, which begins anew, and the proxies one after the other where other keys "
            "have limits; answers under way are finished first"
        ),
    )
    count_tokens: bool = Field(
        default=False,
        description=(
            "vLLM counts the tokens of prompts and answers by the name of the key, as the metric "
            "`deepseek_tokens_total`, and holds `keys.NAME.tokensPerMinute`."
        ),
        json_schema_extra=REPLACES_CLUSTER,
    )
    access_log: bool = Field(
        default=False,
        description=(
            "Whether the proxies write a line of JSON for each request to their pods' logs: when, its id, the name of "
            "its key, path, status, bytes and times. Never a prompt, an answer or a key."
        ),
        json_schema_extra=changing("replaces the proxies one after the other; answers under way are finished first"),
    )
    host: Annotated[str, Field(pattern=HOST_NAME, max_length=253)] | None = Field(
        default=None,
        description=(
            "Name by which clients reach the proxies. The certificate of `tlsSecret`, of `selfSigned` or of the "
            "listener of `gateway` is for it."
        ),
        examples=["llm.example.com"],
        json_schema_extra=changing("changes the outputs, and updates an Ingress or HTTPRoute in place"),
    )
    tls_secret: Name | None = Field(
        default=None,
        description=(
            "Secret of type kubernetes.io/tls with the certificate for `host`, such as cert-manager's. Clients then "
            "come to port 443 of the Service by TLS; port 8000 is left to the Jobs of the stack. A renewed certificate "
            "holds within two minutes and cuts no answer. With `ingressClass` the Ingress has it instead."
        ),
        json_schema_extra=changing(
            "replaces the proxies one after the other and opens or shuts the Service's port 443; clients change their "
            "URL. Another Secret replaces the proxies only"
        ),
    )
    self_signed: bool = Field(
        default=False,
        description=(
            "Whether the program makes a certificate for `host`, in place of `tlsSecret`: for a closed network. It is "
            "kept in a Secret and holds 825 days. The output `saveCertificate` is the command by which clients get "
            "it, to trust it."
        ),
        json_schema_extra=changing(
            "replaces the proxies one after the other and opens or shuts the Service's port 443; clients change their "
            "URL"
        ),
    )
    service_type: Literal["ClusterIP", "LoadBalancer"] = Field(
        default="ClusterIP",
        description=(
            "Type of the Service that clients know. LoadBalancer needs TLS: keys and prompts leave the cluster."
        ),
        json_schema_extra=changing("updates the Service in place; nothing that serves is touched"),
    )
    ingress_class: Name | None = Field(
        default=None,
        description=(
            "IngressClass of an Ingress for `host`, which takes TLS with `tlsSecret` and passes requests to the "
            "proxies. For ingress-nginx it has time-outs of an hour and no buffering; others need `annotations`."
        ),
        examples=["nginx"],
        json_schema_extra=changing(
            "creates, replaces or deletes the Ingress; where TLS moves between it and the proxies, these are replaced "
            "one after the other"
        ),
    )
    gateway: Gateway | None = Field(
        default=None,
        description=(
            "Gateway of the Gateway API, by `name` and `namespace` (the stack's if left out), whose `listener` takes "
            "TLS for `host`: an HTTPRoute without a time-out leads from it to the proxies."
        ),
        examples=["{name: shared, namespace: gateways, listener: https}"],
        json_schema_extra=changing("creates, updates or deletes the HTTPRoute; nothing that serves is touched"),
    )
    annotations: dict[str, str] = Field(
        default={},
        description="Annotations of the Ingress or HTTPRoute, or else of the Service with `serviceType: LoadBalancer`.",
        json_schema_extra=changing("updates that object in place; nothing that serves is touched"),
    )

    @property
    def counted_requests(self) -> dict[str, KeyLimits]:
        """The limits of keys whose requests one pod counts for all proxies."""
        return {name: limits for name, limits in self.keys.items() if limits.keys() - {"tokensPerMinute"}}

    @property
    def token_limits(self) -> dict[str, int]:
        """Tokens a minute by the name of the key."""
        return {name: limits["tokensPerMinute"] for name, limits in self.keys.items() if "tokensPerMinute" in limits}

    @property
    def takes_tls(self) -> bool:
        """Whether the proxies do, and no Ingress before them."""
        return self.self_signed or (self.tls_secret is not None and self.ingress_class is None)

    @property
    def service_annotations(self) -> dict[str, str]:
        """Those of the Service that clients know."""
        return self.annotations if self.service_type == "LoadBalancer" else {}
