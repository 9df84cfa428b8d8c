"""This machine's pip settings in a form that image builds take as build secrets, so that they never enter an image."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SECRETS_FOLDER = "/run/secrets"
"""Where BuildKit mounts build secrets unless told otherwise."""
DEBIAN_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PASSED_ON = ("index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "timeout", "retries")


def parse_settings(listing: str) -> dict[str, str]:
    """The settings that `pip install` obeys, from `pip config list`: environment over install over global."""
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for section, key, value in re.findall(r"^(global|install|:env:)\.([a-z-]+)=(.*)$", listing, re.MULTILINE):
        found[section][key.removeprefix("default-")] = ast.literal_eval(value)
    return found["global"] | found["install"] | found[":env:"]


def render_pip_conf(settings: Mapping[str, str], *, with_certificates: bool) -> str:
    """A pip.conf for use inside a build; folders of this machine are left out, the certificates come beside it."""
    lines = ["[global]", "disable-pip-version-check = true"]
    for key in PASSED_ON:
        words = settings.get(key, "").split()
        if key == "find-links":
            words = [word for word in words if "://" in word and not word.startswith("file:")]
        if words:
            lines.append(f"{key} =" + "".join(f"\n    {word}" for word in words))
    if with_certificates:
        lines.append(f"cert = {SECRETS_FOLDER}/ca.crt")
    return "\n".join(lines) + "\n"


def build_secret() -> dict[str, str]:
    """The files of the Secret that `image.pipSecret` names: pip.conf, and ca.crt if this machine has certificates."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    settings = parse_settings(listing)
    proxy = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    if proxy:
        settings = {"proxy": proxy} | settings
    certificates = Path(settings.get("cert") or os.environ.get("SSL_CERT_FILE") or DEBIAN_CERTIFICATES)
    if not certificates.exists():
        return {"pip.conf": render_pip_conf(settings, with_certificates=False)}
    return {"pip.conf": render_pip_conf(settings, with_certificates=True), "ca.crt": certificates.read_text()}
