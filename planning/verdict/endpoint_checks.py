"""What the keys of deepseek:endpoint must be for the proxies to be what was reviewed."""

from collections.abc import Iterator

from planning.problems import Problem
from planning.settings.references import faults_of_reference, split
from planning.sizing.resolved import ResolvedStack


def _the_proxies_image_is_pinned(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem where another program could come under the image's name: the proxies see every key and prompt."""
    written = stack.settings.endpoint.image
    if written and not faults_of_reference(written)[0] and not split(written)[2]:
        example = f"endpoint.image: {written}@sha256:…, with the digest that the registry shows"
        yield Problem("endpoint.image", f"'{written}' has no digest, and its tag may move", example)


def _the_log_is_written(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem where nobody would write the log of requests."""
    endpoint = stack.settings.endpoint
    if endpoint.access_log and not endpoint.proxy:
        yield Problem("endpoint.accessLog", "needs the proxies, which write it", "endpoint.proxy: true")


def _limits_limit(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem for limits of keys that nobody would hold, or that are none."""
    endpoint = stack.settings.endpoint
    if endpoint.keys and not endpoint.proxy:
        yield Problem("endpoint.keys", "needs the proxies, which know whose request it is", "endpoint.proxy: true")
    for name, limits in endpoint.keys.items():
        if not limits:
            yield Problem(f"endpoint.keys.{name}", "has no limit", "requestsPerMinute: 600, or concurrency: 32")
    if endpoint.token_limits and not endpoint.count_tokens:
        for name in endpoint.token_limits:
            key = f"endpoint.keys.{name}.tokensPerMinute"
            yield Problem(key, "needs vLLM to count tokens", "endpoint.countTokens: true")
    if endpoint.count_tokens and not (endpoint.proxy and stack.settings.serving.authentication == "key"):
        text = "needs the proxies and keys, by which they know whose request it is"
        yield Problem("endpoint.countTokens", text, "endpoint.proxy: true, and serving.authentication: key")


def _tls_has_its_parts(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem where TLS lacks the proxies or the name, and for a name that nothing is done with."""
    endpoint = stack.settings.endpoint
    certificates = {"endpoint.tlsSecret": endpoint.tls_secret, "endpoint.selfSigned": endpoint.self_signed}
    for key in (key for key, is_set in certificates.items() if is_set):
        if not endpoint.proxy:
            yield Problem(key, "needs the proxies, which take TLS", "endpoint.proxy: true")
        if not endpoint.host:
            yield Problem(key, "needs the name that its certificate is for", "endpoint.host: llm.example.com")
    if endpoint.host and not (any(certificates.values()) or endpoint.gateway):
        advice = "endpoint.tlsSecret: NAME, endpoint.selfSigned: true, or endpoint.gateway"
        yield Problem("endpoint.host", "needs the certificate for it", advice)
    if endpoint.self_signed and endpoint.tls_secret:
        text = "is a second certificate beside endpoint.tlsSecret"
        yield Problem("endpoint.selfSigned", text, "endpoint.selfSigned: false, or no endpoint.tlsSecret")
    if endpoint.self_signed and endpoint.ingress_class:
        text = "is for the proxies, and with endpoint.ingressClass the Ingress takes TLS"
        yield Problem("endpoint.selfSigned", text, "endpoint.tlsSecret: NAME, or no endpoint.ingressClass")


def _the_way_out_has_its_parts(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem where clients outside the cluster would send keys in clear text, or find no way."""
    endpoint = stack.settings.endpoint
    outside = endpoint.service_type == "LoadBalancer"
    if outside and endpoint.ingress_class:
        text = "is a second way in beside endpoint.ingressClass"
        yield Problem("endpoint.serviceType", text, "endpoint.serviceType: ClusterIP, or no endpoint.ingressClass")
    has_tls = bool(endpoint.tls_secret or endpoint.self_signed)
    for key, is_set in (("endpoint.serviceType", outside), ("endpoint.ingressClass", endpoint.ingress_class)):
        if is_set and not has_tls:
            text = "leads out of the cluster, where keys and prompts need TLS"
            yield Problem(key, text, "endpoint.tlsSecret: NAME, and endpoint.host: llm.example.com")
    if endpoint.annotations and not (outside or endpoint.ingress_class or endpoint.gateway):
        advice = "endpoint.ingressClass or gateway, or serviceType: LoadBalancer"
        yield Problem("endpoint.annotations", "has no object to stand on", advice)


def _the_gateway_takes_tls_alone(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem for a Gateway without proxies or host, and beside another way in or another certificate."""
    endpoint = stack.settings.endpoint
    if not endpoint.gateway:
        return
    if not endpoint.proxy:
        yield Problem("endpoint.gateway", "needs the proxies, to which it leads", "endpoint.proxy: true")
    if not endpoint.host:
        yield Problem("endpoint.gateway", "needs the name that it leads from", "endpoint.host: llm.example.com")
    others = {
        "endpoint.tlsSecret": endpoint.tls_secret,
        "endpoint.selfSigned": endpoint.self_signed,
        "endpoint.ingressClass": endpoint.ingress_class,
        "endpoint.serviceType": endpoint.service_type == "LoadBalancer",
    }
    for key in (key for key, is_set in others.items() if is_set):
        text = "the Gateway's listener has the certificate, and is the way in"
        yield Problem(key, f"cannot stand beside endpoint.gateway: {text}", f"endpoint.gateway or {key}")


ENDPOINT_CHECKS = (
    _the_proxies_image_is_pinned,
    _the_log_is_written,
    _limits_limit,
    _tls_has_its_parts,
    _the_way_out_has_its_parts,
    _the_gateway_takes_tls_alone,
)
