"""Commands ready to paste, as stack outputs: they name what was really created."""

import json
import shlex

import pulumi

from components.pods import KEY
from components.ray_cluster import PORT


def forward_port(namespace: str, service: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the command that brings the Service to localhost."""
    return pulumi.Output.format("kubectl -n {0} port-forward service/{1} {2}:{2}", namespace, service, PORT)


def ask(served_models: pulumi.Output[list[str]], *, with_key: bool) -> pulumi.Output[str]:
    """Return the article's question as a curl command, for use beside `forward_port`."""
    return served_models.apply(lambda names: _curl(names[0], with_key=with_key))


def show_key(namespace: str, secret: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the command that puts the API key into $API_KEY, where `ask` looks for it."""
    return pulumi.Output.format(
        "API_KEY=$(kubectl -n {0} get secret {1} -o jsonpath='{{.data.{2}}}' | base64 -d)", namespace, secret, KEY
    )


def give_up_weights(namespace: str, claim: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the command that removes the claim which a destroy keeps."""
    return pulumi.Output.format("kubectl -n {0} delete persistentvolumeclaim {1}", namespace, claim)


def _curl(model: str, *, with_key: bool) -> str:
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "What is the meaning of life?"},
        ],
    }
    key = ' -H "Authorization: Bearer $API_KEY"' if with_key else ""
    url = f"http://localhost:{PORT}/v1/chat/completions"
    return f'curl "{url}" -H "Content-Type: application/json"{key} -d {shlex.quote(json.dumps(body))}'
