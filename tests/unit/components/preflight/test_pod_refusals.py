import json

import pytest
from kubernetes.client.exceptions import ApiException

from components.preflight.pod_refusals import refusal


def answer(status: int, message: str) -> ApiException:
    error = ApiException(status=status, reason="Refused")
    error.body = json.dumps({"kind": "Status", "message": message})
    return error


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, 'pods "build-x" is forbidden: violates PodSecurity "baseline:latest": privileged'),
        (403, 'pods "build-x" is forbidden: failed quota: compute: must specify requests.cpu for: build'),
        (403, 'pods "ray-x" is forbidden: maximum memory usage per Container is 64Gi, but limit is 768Gi'),
        (422, "ValidatingAdmissionPolicy 'tickets' with binding 'tickets' denied request: no ticket"),
        (400, 'admission webhook "policy.example.com" denied the request: no ticket'),
    ],
)
def test_what_admission_has_against_a_pod_is_told_in_its_words(status: int, message: str) -> None:
    assert refusal(answer(status, message)) == message


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, 'pods is forbidden: User "jane" cannot create resource "pods" in API group "" in the namespace "n"'),
        (403, 'pods "ray-x" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=9, limited: pods=9'),
        (403, 'pods "ray-x" is forbidden: error looking up service account n/default: serviceaccount not found'),
        (400, 'admission webhook "side.example.com" does not support dry run'),
        (404, 'namespaces "n" not found'),
        (500, 'failed calling webhook "policy.example.com": connection refused'),
    ],
)
def test_what_is_not_about_the_pod_refuses_nothing(status: int, message: str) -> None:
    assert refusal(answer(status, message)) == ""


def test_an_answer_that_is_no_status_object_is_told_as_it_is() -> None:
    error = ApiException(status=403, reason="Forbidden by a proxy")
    error.body = "<html>"
    assert refusal(error) == "Forbidden by a proxy"
