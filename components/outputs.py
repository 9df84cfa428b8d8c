"""The outputs of a stack: where it answers, what it keeps, and commands ready to paste that name what is there."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

import pulumi

from components.benchmark.benchmark import Benchmark
from components.endpoint.haproxy_sections import TLS_PORT
from components.image.image_build import ImageBuild
from components.network_result import network_result
from components.ray_cluster.ray_cluster import PORT
from components.shared.pods import KEY
from components.shared.tls_secret import CERTIFICATE
from components.vllm_server.engines import SharedByEngines
from components.vllm_server.vllm_server import VllmServer

SAVED_CERTIFICATE = "deepseek.crt"


def outputs(
    shared: SharedByEngines, builds: Mapping[str, ImageBuild], server: VllmServer, benchmark: Benchmark | None
) -> dict[str, pulumi.Output[Any]]:
    """Return what the stack exports beside its plan, by name."""
    config, api_key, store = shared.config, shared.api_key, shared.store
    door = config.settings.endpoint
    host = door.host if door.takes_tls else None
    certificate = shared.endpoint.self_signed if shared.endpoint else None
    found: dict[str, pulumi.Output[Any]] = {
        "endpoint": server.endpoint,
        "service": server.service_name,
        "servedModels": server.served_models,
        "portForward": _forward_port(config.namespace, server.service_name, tls=host is not None),
        "ask": _ask(
            server.served_models, with_key=api_key is not None, host=host, with_certificate=certificate is not None
        ),
    }
    if certificate is not None:
        found["saveCertificate"] = _save_certificate(config.namespace, certificate)
    if resolved := {name: build.resolved for name, build in builds.items() if build.resolved}:
        found["images"] = pulumi.Output.all(**resolved)
    if (network := network_result(config, server)) is not None:
        found["network"] = network
    if benchmark:
        found["benchmark"] = benchmark.result
    if api_key:
        found["showApiKey"] = _show_key(config.namespace, api_key.secret_name)
    if config.settings.storage.keeps_own_claim:
        found["keptClaim"] = store.claim_name
        found["giveUpWeights"] = _give_up_weights(config.namespace, store.claim_name)
    return found


def _forward_port(namespace: str, service: pulumi.Input[str], *, tls: bool) -> pulumi.Output[str]:
    """Return the command that brings the Service to localhost."""
    ports = f"{TLS_PORT}:443" if tls else f"{PORT}:{PORT}"
    return pulumi.Output.format("kubectl -n {0} port-forward service/{1} {2}", namespace, service, ports)


def _ask(
    served_models: pulumi.Output[list[str]], *, with_key: bool, host: str | None, with_certificate: bool
) -> pulumi.Output[str]:
    """Return the article's question as a curl command, for use beside `_forward_port`; with TLS for `host`."""
    trusted = f"--cacert {SAVED_CERTIFICATE} " if with_certificate else ""
    return served_models.apply(lambda names: _curl(names[0], with_key=with_key, host=host, trusted=trusted))


def _show_key(namespace: str, secret: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the command that puts the API key into $API_KEY, where `_ask` looks for it."""
    return pulumi.Output.format("API_KEY=$({0})", _read_secret(namespace, secret, KEY))


def _save_certificate(namespace: str, secret: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the command that writes the certificate which clients trust, where `_ask` looks for it."""
    return pulumi.Output.format("{0} > {1}", _read_secret(namespace, secret, CERTIFICATE), SAVED_CERTIFICATE)


def _read_secret(namespace: str, secret: pulumi.Input[str], key: str) -> pulumi.Output[str]:
    """Return the command that prints a value of a Secret."""
    path = key.replace(".", "\\.")
    return pulumi.Output.format(
        "kubectl -n {0} get secret {1} -o jsonpath='{{.data.{2}}}' | base64 -d", namespace, secret, path
    )


def _give_up_weights(namespace: str, claim: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the command that removes the claim which a destroy keeps."""
    return pulumi.Output.format("kubectl -n {0} delete persistentvolumeclaim {1}", namespace, claim)


def _curl(model: str, *, with_key: bool, host: str | None, trusted: str) -> str:
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "What is the meaning of life?"},
        ],
    }
    key = ' -H "Authorization: Bearer $API_KEY"' if with_key else ""
    path = "/v1/chat/completions"
    plain = f'"http://localhost:{PORT}{path}"'
    tls = f'{trusted}--resolve {host}:{TLS_PORT}:127.0.0.1 "https://{host}:{TLS_PORT}{path}"'
    return f'curl {tls if host else plain} -H "Content-Type: application/json"{key} -d {shlex.quote(json.dumps(body))}'
