"""Secrets that the stack file names: there, with what their readers need, and never a word of them in a message."""

import base64
from typing import Any

import certifi
import pytest
from kubernetes import client

from components.preflight.secrets import faults_of_secret
from tests.unit.components.stub_api import stub_api

PATH = "/api/v1/namespaces/deepseek/secrets/theirs"


def told(secret: Any, *wanted: str) -> list[str]:
    with stub_api({PATH: secret}) as (api, _):
        return list(map(str, faults_of_secret(client.CoreV1Api(api), "image.pushSecret", "theirs", "deepseek", wanted)))


def secret(key: str, content: str) -> dict[str, Any]:
    return {"kind": "Secret", "data": {key: base64.b64encode(content.encode()).decode()}}


LOGINS = '{"auths": {"registry.example.com": {"auth": "bWU6d29yZA=="}}}'


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (secret(".dockerconfigjson", LOGINS), ".dockerconfigjson"),
        (secret("pip.conf", "[global]\nindex-url = https://mirror.example.com/Zebra9?a=%20b"), "pip.conf"),
        (secret("ca.crt", certifi.contents()), "ca.crt"),
        (secret("password", "Zebra9"), "password"),
        (403, ".dockerconfigjson"),
    ],
    ids=["logins", "pip", "authorities", "password", "forbidden"],
)
def test_what_works_is_not_refused(found: Any, wanted: str) -> None:
    assert told(found, wanted) == []


@pytest.mark.parametrize(
    ("found", "wanted", "fault"),
    [
        (404, "pip.conf", "there is no Secret 'theirs'"),
        (secret(".dockercfg", LOGINS), ".dockerconfigjson", "has no key .dockerconfigjson"),
        (secret(".dockerconfigjson", "me:Zebra9"), ".dockerconfigjson", "is not what `docker login` writes"),
        (secret(".dockerconfigjson", "[]"), ".dockerconfigjson", "is not what `docker login` writes"),
        (secret(".dockerconfigjson", '{"auths": {}}'), ".dockerconfigjson", "has no login"),
        (
            secret("pip.conf", "index-url = https://mirror.example.com/Zebra9"),
            "pip.conf",
            "is no configuration of pip",
        ),
        (secret("ca.crt", "Zebra9"), "ca.crt", "is no list of certificates in PEM form"),
        (
            secret("ca.crt", "-----BEGIN CERTIFICATE-----\nZebra9\n-----END CERTIFICATE-----\n"),
            "ca.crt",
            "is no list of",
        ),
        (secret("password", "Zebra9\n"), "password", "has a line break"),
        (secret("password", ""), "password", "is empty"),
    ],
)
def test_what_cannot_work_is_told_by_key(found: Any, wanted: str, fault: str) -> None:
    [problem] = told(found, wanted)
    assert problem.startswith("image.pushSecret: ")
    assert fault in problem
    assert "Zebra9" not in problem
