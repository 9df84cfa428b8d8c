"""What keeps a stack from coming up, on real pods: `up` ends, bounded, with the cause, and the next one serves."""

import re
import time
from dataclasses import dataclass
from typing import Any

import pytest
from pulumi import automation

from local import dev, stack
from local.machine import addresses
from tests.sampling import swept
from tests.serving import live
from tests.serving.conftest import Served
from tests.serving.dev_stack import changed

JOIN_SECONDS = 240
LOAD_SECONDS = 240
OTHER_STEPS_SECONDS = 300
"""For what `up` does before it waits for an answer: builds that are found, downloads of nothing, deletions."""


@dataclass(frozen=True)
class Mistake:
    """A setting that cannot work, by section and key, and what the error has to name."""

    name: str
    section: str
    settings: dict[str, Any]
    named: str

    def __str__(self) -> str:
        return self.name


NOT_PULLABLE = Mistake(
    "image not pullable",
    "image",
    {"reference": f"{addresses.NODE}:5000/deepseek/ray-vllm:no-such-tag"},
    r"ErrImagePull|ImagePullBackOff.*no-such-tag",
)
"""Five minutes of patience; make test makes one on simulated nodes (tests/cluster/test_going_up.py)."""

REFUSED_FLAG = Mistake(
    "refused flag",
    "serving",
    {"extraArgs": ["--enable-auto-tool-choice", "--tool-call-parser=no-such-parser"]},
    r"invalid tool call parser: no-such-parser",
)
NO_WEIGHTS = Mistake("no weights", "model", {"revision": "without-weights"}, r"[Cc]annot find any model weights")
"""vLLM says so after it has started twice."""


def mistaken(section: str, settings: dict[str, Any]) -> automation.Stack:
    """Return the dev stack with some settings of a section changed, and short bounds."""
    configured = stack.configuration(dev.STACK)
    sections = {"scheduling": {"joinTimeout": f"{JOIN_SECONDS}s"}, "serving": {"loadTimeout": f"{LOAD_SECONDS}s"}}
    sections[section] = sections.get(section, {}) | settings
    overrides = {f"deepseek:{name}": configured.get(f"deepseek:{name}", {}) | of for name, of in sections.items()}
    return changed(overrides)


def up() -> None:
    """Run `up` with the settings of the file."""
    changed().up(on_output=stack.show)


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("mistake", [*swept([NOT_PULLABLE, NO_WEIGHTS], sample=0), *swept([REFUSED_FLAG], sample=1)])
def test_up_ends_with_the_cause_and_the_next_one_serves(mistake: Mistake) -> None:
    began = time.monotonic()
    try:
        with pytest.raises(automation.CommandError) as failed:
            mistaken(mistake.section, mistake.settings).up(on_output=stack.show)
        assert time.monotonic() - began < JOIN_SECONDS + LOAD_SECONDS + OTHER_STEPS_SECONDS
        assert re.search(mistake.named, str(failed.value))
    finally:
        up()
    assert dev.ask("Does it serve again?").strip()


@pytest.mark.faults
def test_up_after_destroy_serves_without_downloading(served: Served) -> None:
    claim = served.outputs["keptClaim"]
    volume = live.API.request("GET", f"{live.CORE}/persistentvolumeclaims/{claim}")["spec"]["volumeName"]
    served.stack.destroy(on_output=stack.show)
    assert not live.pods(live.HEAD)
    up()
    assert live.API.request("GET", f"{live.CORE}/persistentvolumeclaims/{claim}")["spec"]["volumeName"] == volume
    [pod] = live.API.request("GET", f"{live.CORE}/pods?labelSelector=batch.kubernetes.io/job-completion-index")["items"]
    log = live.API.text(f"{live.CORE}/pods/{pod['metadata']['name']}/log")
    assert re.search(r"is complete: commit [0-9a-f]{40}", log)
    assert "Downloaded" not in log
    assert dev.ask("Does it serve again?").strip()
