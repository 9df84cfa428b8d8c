import pytest


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program warns that it reaches no cluster, and goes on, as in any preview."""
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
