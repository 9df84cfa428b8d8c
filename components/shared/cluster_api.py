"""The API server, asked by the program itself before anything is created; a preview without one goes on."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's errors have no types.

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from components.shared.kubeconfig import load

TIMEOUT_SECONDS = 5
NOT_FOUND = 404
FORBIDDEN = 403
ABSENT = object()


class UnreachableError(Exception):
    """No answer from the API server; the text says why."""


@contextmanager
def connected(kubeconfig: str | None, context: str | None) -> Generator[client.ApiClient]:
    """Give a client of the provider's cluster; its requests end within TIMEOUT_SECONDS, if they are told to.

    Raises UnreachableError for every answer that was not expected, and for none.
    """
    try:
        with _client(kubeconfig, context) as api:
            yield api
    except (ConfigException, HTTPError, OSError) as error:
        raise UnreachableError(str(error).partition("\n")[0]) from None
    except ApiException as error:
        raise UnreachableError(f"{error.status} {error.reason}") from None


def read(get: Callable[[], object]) -> object:
    """Return what `get` finds, ABSENT where there is nothing, None where this person may not read."""
    try:
        return get()
    except ApiException as error:
        if error.status == NOT_FOUND:
            return ABSENT
        if error.status != FORBIDDEN:
            raise
    return None


def exists(get: Callable[[], object]) -> bool:
    """Return whether `get` finds its object; what this person may not read counts as there."""
    return read(get) is not ABSENT


def _client(kubeconfig: str | None, context: str | None) -> client.ApiClient:
    # One attempt: a person waits for the preview.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    settings = client.Configuration()
    settings.retries = False
    load(settings, kubeconfig, context)
    return client.ApiClient(settings)
