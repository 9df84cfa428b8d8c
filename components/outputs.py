"""The outputs of a stack: where it answers, what it keeps, and commands ready to paste that name what is there."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

import pulumi

from components.api_key import ApiKey
from components.benchmark.benchmark import Benchmark
from components.endpoint.haproxy_sections import TLS_PORT
from components.image.image_build import ImageBuild
from components.model_store.model_store import ModelStore
from components.network_result import network_result
from components.ray_cluster.ray_cluster import PORT
from components.shared.pods import KEY
from components.stack_config import StackConfig
from components.vllm_server.vllm_server import VllmServer


def outputs(
    config: StackConfig,
    builds: Mapping[str, ImageBuild],
    store: ModelStore,
    server: VllmServer,
    api_key: ApiKey | None,
    benchmark: Benchmark | None,
) -> dict[str, pulumi.Output[Any]]:
    """Return what the stack exports beside its plan, by name."""
    host = config.settings.endpoint.host if config.settings.endpoint.takes_tls else None
    found: dict[str, pulumi.Output[Any]] = {
        "endpoint": server.endpoint,
        "service": server.service_name,
        "servedModels": server.served_models,
        "portForward": _forward_port(config.namespace, server.service_name, tls=host is not None),
        "ask": _ask(server.served_models, with_key=api_key is not None, host=host),
    }
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


def _ask(served_models: pulumi.Output[list[str]], *, with_key: bool, host: str | None) -> pulumi.Output[str]:
    """Return the article's question as a curl command, for use beside `_forward_port`; with TLS for `host`."""
    return served_models.apply(lambda names: _curl(names[0], with_key=with_key, host=host))


def _show_key(namespace: str, secret: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the command that puts the API key into $API_KEY, where `_ask` looks for it."""
    return pulumi.Output.format(
        "API_KEY=$(kubectl -n {0} get secret {1} -o jsonpath='{{.data.{2}}}' | base64 -d)", namespace, secret, KEY
    )


def _give_up_weights(namespace: str, claim: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the command that removes the claim which a destroy keeps."""
    return pulumi.Output.format("kubectl -n {0} delete persistentvolumeclaim {1}", namespace, claim)


def _curl(model: str, *, with_key: bool, host: str | None) -> str:
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
    tls = f'--resolve {host}:{TLS_PORT}:127.0.0.1 "https://{host}:{TLS_PORT}{path}"'
    return f'curl {tls if host else plain} -H "Content-Type: application/json"{key} -d {shlex.quote(json.dumps(body))}'
