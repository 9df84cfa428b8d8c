"""Asks the served model the article's question, over the Service, as a person with kubectl does."""

import contextlib
import json
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

from local.building import builds
from local.port_forward import port_forward

QUESTION = "What is the meaning of life?"
TIMEOUT_SECONDS = 120


@contextlib.contextmanager
def forwarded(kubeconfig: Path, namespace: str, service: str) -> Generator[str]:
    """Have `kubectl port-forward` run in this context; yield the base URL. Raises RuntimeError if it does not start."""
    kubectl = [str(builds.program("kubectl")), f"--kubeconfig={kubeconfig}", f"--namespace={namespace}"]
    with port_forward(kubectl, f"service/{service}", 8000) as url:
        yield url


def ask(url: str, model: str, question: str = QUESTION) -> str:
    """Return what the model answers to `question` at the OpenAI API under `url`. Raises OSError when it does not."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": question},
        ],
    }
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])
