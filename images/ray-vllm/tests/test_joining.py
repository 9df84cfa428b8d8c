import pytest
from failure_history import Failed
from joining import compare, wait_for_nodes
from planned_nodes import PlannedNodes
from ray_api import Node, RayApi
from stub_servers import Body, Reply, StubRay

A100 = "NVIDIA-A100-SXM4-80GB"


def nodes(count: int, gpus: int = 8, accelerator: str = "A100") -> list[Node]:
    return [Node(f"10.0.0.{number}", gpus, accelerator) for number in range(count)]


def test_as_planned() -> None:
    joined = compare(nodes(4), PlannedNodes(4, 8, A100))
    assert (joined.nodes, joined.gpus, joined.missing, joined.differences) == (4, 32, "", "")


def test_a_node_is_missing() -> None:
    joined = compare(nodes(3), PlannedNodes(4, 8, A100))
    assert joined.nodes == 3
    assert joined.missing == "1 of 4 Ray nodes have not joined"


def test_a_node_with_too_few_gpus_is_named() -> None:
    joined = compare([*nodes(3), Node("10.0.0.9", 7)], PlannedNodes(4, 8, A100))
    assert (joined.nodes, joined.gpus) == (3, 31)
    assert joined.missing == "Ray node 10.0.0.9 has 7 of 8 GPUs"


def test_a_spare_node_does_not_matter() -> None:
    assert compare([*nodes(4), Node("10.0.0.9", 0)], PlannedNodes(4, 8)).missing == ""


@pytest.mark.parametrize(
    ("accelerator", "differs"), [("A100", False), ("A100-80G", False), ("H100", True), ("", False)]
)
def test_gpus_of_another_product_are_reported(accelerator: str, *, differs: bool) -> None:
    joined = compare(nodes(1, accelerator=accelerator), PlannedNodes(1, 8, A100))
    assert joined.missing == ""
    assert ("planned is NVIDIA-A100-SXM4-80GB" in joined.differences) is differs


def test_more_gpus_than_planned_are_reported() -> None:
    assert compare(nodes(1, gpus=9), PlannedNodes(1, 8)).differences == "Ray node 10.0.0.0 has 9 GPUs, planned are 8"


@pytest.mark.usefixtures("fast")
def test_the_wait_ends_when_the_last_node_has_joined(ray: StubRay, capsys: pytest.CaptureFixture[str]) -> None:
    looks: list[int] = []

    def reply(_: Body) -> Reply:
        looks.append(1)
        count = 2 if len(looks) > 3 else 1
        return 200, {"data": {"result": {"result": [ray.node(str(number)) for number in range(count)]}}}

    ray.routes[("GET", "/api/v0/nodes")] = reply
    wait_for_nodes(RayApi(ray.url, "token"), PlannedNodes(2, 1), timeout=10)
    output = capsys.readouterr().out
    assert 'waiting nodes=1/2 gpus=1/2 after=0 missing="1 of 2 Ray nodes have not joined"' in output
    assert "joined nodes=2/2 gpus=2/2" in output
    assert set(ray.tokens) == {"Bearer token"}


@pytest.mark.usefixtures("fast")
def test_the_wait_has_an_end(ray: StubRay) -> None:
    with pytest.raises(Failed, match="1 of 2 Ray nodes have not joined") as caught:
        wait_for_nodes(RayApi(ray.url), PlannedNodes(2, 1), timeout=0.1)
    assert caught.value.kind == "nodes"


@pytest.mark.usefixtures("fast")
def test_a_head_that_does_not_answer_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failed, match="does not answer"):
        wait_for_nodes(RayApi("http://127.0.0.1:9"), PlannedNodes(1, 1), timeout=0.05)
    assert "waiting nodes=0/1" in capsys.readouterr().out


def test_dead_nodes_do_not_count(ray: StubRay) -> None:
    ray.nodes.append(ray.node("10.0.0.2") | {"state": "DEAD"})
    ray.nodes.append(ray.node("10.0.0.3", 8.0, **{"accelerator_type:A100": 1.0}))
    assert RayApi(ray.url).nodes() == [Node("10.0.0.1", 1), Node("10.0.0.3", 8, "A100")]
