"""What the keys of deepseek:endpoint must be for the proxies to be what was reviewed."""

from collections.abc import Iterator

from planning.problems import Problem
from planning.settings.references import DOCKER_HUB, faults_of_reference, split
from planning.settings.sections.endpoint import PROXY
from planning.sizing.resolved import ResolvedStack


def _the_proxies_image_is_pinned(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem where another program could come under the image's name: the proxies see every key and prompt."""
    settings = stack.settings
    written, mirror = settings.endpoint.image, settings.image.mirror
    example = f"endpoint.image: {mirror}/{PROXY}@sha256:…, with the digest that the registry shows"
    if written and not faults_of_reference(written)[0] and not split(written)[2]:
        yield Problem("endpoint.image", f"'{written}' has no digest, and its tag may move", example)
    elif settings.endpoint.proxy and not written and mirror == DOCKER_HUB:
        text = f"needed, with a digest: the proxies see every key and prompt, and tags of {DOCKER_HUB} move"
        yield Problem("endpoint.image", text, f"{example}; or image.mirror, a registry of your own")


def _limits_limit(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem for limits of keys that nobody would hold, or that are none."""
    endpoint = stack.settings.endpoint
    if endpoint.keys and not endpoint.proxy:
        yield Problem("endpoint.keys", "needs the proxies, which know whose request it is", "endpoint.proxy: true")
    for name, limits in endpoint.keys.items():
        if not limits:
            yield Problem(f"endpoint.keys.{name}", "has no limit", "requestsPerMinute: 600, or concurrency: 32")


def _tls_has_its_parts(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem where TLS lacks the proxies or the name, and for a name that nothing is done with."""
    endpoint = stack.settings.endpoint
    if endpoint.tls_secret and not endpoint.proxy:
        yield Problem("endpoint.tlsSecret", "needs the proxies, which take TLS", "endpoint.proxy: true")
    if endpoint.tls_secret and not endpoint.host:
        yield Problem(
            "endpoint.tlsSecret", "needs the name that its certificate is for", "endpoint.host: llm.example.com"
        )
    if endpoint.host and not endpoint.tls_secret:
        yield Problem("endpoint.host", "needs the certificate for it", "endpoint.tlsSecret: NAME")


ENDPOINT_CHECKS = (_the_proxies_image_is_pinned, _limits_limit, _tls_has_its_parts)
