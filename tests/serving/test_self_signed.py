"""The commands of the outputs reach the model by TLS, with the certificate that the program has made."""

import json
import shlex
import subprocess
from pathlib import Path

from local import boot, dev
from local.port_forward import port_forward
from tests.serving import live
from tests.serving.closed_stack import HOST
from tests.serving.conftest import Served

NOT_TRUSTED = 60
"""curl's exit status for a certificate that it does not trust."""


def test_whoever_has_saved_the_certificate_asks_by_tls_and_nobody_else(closed: Served, tmp_path: Path) -> None:
    kubectl = [str(part) for part in boot.kubectl(dev.NAMESPACE)]
    saving = closed.outputs["saveCertificate"].replace(f"kubectl -n {dev.NAMESPACE}", shlex.join(kubectl))
    subprocess.run(["bash", "-c", saving], check=True, cwd=tmp_path)
    with port_forward(kubectl, f"service/{closed.outputs['service']}", 443) as url:
        port = url.rpartition(":")[2]
        ask = closed.outputs["ask"].replace(":8443", f":{port}")
        done = run(ask, tmp_path)
        assert json.loads(done.stdout)["choices"][0]["message"]["content"].strip(), done.stderr
        assert f"https://{HOST}:{port}/" in ask
        assert run(ask.replace("--cacert deepseek.crt ", ""), tmp_path).returncode == NOT_TRUSTED


def run(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": "/usr/bin:/bin", "API_KEY": live.api_key()}
    return subprocess.run(
        ["bash", "-c", f"{command} --silent --max-time 120"],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
    )
