"""Asks the served model the article's question, over the Service, as a person with kubectl does."""

import contextlib
import json
import re
import subprocess
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

from local.building import builds

QUESTION = "What is the meaning of life?"
TIMEOUT_SECONDS = 120


@contextlib.contextmanager
def forwarded(kubeconfig: Path, namespace: str, service: str) -> Generator[str]:
    """Have `kubectl port-forward` run in this context; yield the base URL. Raises RuntimeError if it does not start."""
    command = [str(builds.program("kubectl")), f"--kubeconfig={kubeconfig}", f"--namespace={namespace}"]
    command += ["port-forward", f"service/{service}", ":8000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            port = re.search(r"127\.0\.0\.1:(\d+)", line)
            if port is None:
                raise RuntimeError(f"kubectl port-forward: {line.strip() or 'ended at once'}")
            yield f"http://127.0.0.1:{port[1]}"
        finally:
            process.terminate()


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
