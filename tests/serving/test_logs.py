"""What a person asks stands in no log of a pod."""

from collections.abc import Iterator

from local import conversation
from tests.serving import live
from tests.serving.conftest import Served

MARKER = "quokka-7731-zanzibar"


def logs() -> Iterator[tuple[str, str]]:
    """Yield the log of each container that has started, with the names of pod and container."""
    for pod in live.API.request("GET", f"{live.CORE}/pods")["items"]:
        statuses = [*pod["status"].get("initContainerStatuses", ()), *pod["status"].get("containerStatuses", ())]
        for status in statuses:
            if "waiting" not in status["state"]:
                pod_name, container = pod["metadata"]["name"], status["name"]
                text = live.API.text(f"{live.CORE}/pods/{pod_name}/log?container={container}")
                yield f"{pod_name}/{container}", text


def test_a_prompt_is_in_no_log(served: Served, url: str) -> None:
    for name in served.outputs["servedModels"]:
        assert conversation.ask(url, name, MARKER).strip()
    found = dict(logs())
    assert any("POST /v1/chat/completions" in text for text in found.values()), "the logs are those of vLLM too"
    assert [name for name, text in found.items() if MARKER in text] == []
