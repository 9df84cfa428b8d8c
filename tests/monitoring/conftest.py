from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def no_cluster() -> Iterator[None]:
    """The program reaches no cluster, whatever this machine has, as in any preview."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
        yield
