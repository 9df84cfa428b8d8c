"""Makes every change of `changes.py` and writes what it did into docs/changes.md.

    python -m tests.recorders.record_changes

The engine, provider, API server and KubeRay operator are the real ones, the GPU nodes simulated; about twenty minutes.
"""

import sys
import tempfile
from pathlib import Path

from local.cluster.simulated import simulated_cluster
from tests.cluster.changed.change_page import PAGE, page
from tests.cluster.changed.change_table import keys, row
from tests.cluster.changed.changed_stack import ChangedStack
from tests.cluster.changed.changes import STEPS
from tests.cluster.changed.wanted_by_changes import wanted_by_changes
from tests.cluster.world.stack_objects import NAMESPACE


def main() -> None:
    rows: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as state, simulated_cluster() as cluster:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        cluster.api_server.apply(f"/api/v1/namespaces/{NAMESPACE}", namespace)
        stack = ChangedStack(cluster.api_server, cluster.kubeconfig, Path(state))
        with wanted_by_changes(cluster.api_server):
            for step in STEPS:
                rows.append((step.change.key, row(stack.make(step))))
                print(rows[-1][1], flush=True)  # noqa: T201 - tells how far it is
    order = keys()
    PAGE.write_text(page([text for _, text in sorted(rows, key=lambda item: order.index(item[0]))]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
