"""Shows what a stack does, every two seconds until Ctrl-C.

    python -m local.watch STACK [--once]

`--once` shows it once, for a log or a script. It asks the pods by `kubectl port-forward`, and needs no Prometheus. The
cluster is the one that KUBECONFIG names, else the embedded one if it is up, else kubectl's.
"""

import argparse
import os
import sys
import time
from collections import deque

from rich.console import Console
from rich.live import Live
from rich.panel import Panel

from local import stack
from local.building import builds
from local.cluster import cluster
from local.watch.figures import Readings, figures
from local.watch.sources import StackPods
from local.watch.view import view

INTERVAL_SECONDS = 2.0
WINDOW = 6
"""Readings over which rates are counted: ten seconds."""


def kubectl(name: str) -> list[str]:
    """Return kubectl's command for the cluster and the namespace of a stack."""
    config = stack.configuration(name)
    command = [str(builds.program("kubectl")), f"--namespace={config.get('kubernetes:namespace', 'default')}"]
    if "KUBECONFIG" not in os.environ and cluster.is_up():
        return [*command, f"--kubeconfig={cluster.KUBECONFIG}"]
    context = config.get("kubernetes:context")
    return [*command, f"--context={context}"] if context else command


class Watch:
    """Looks at one stack again and again."""

    def __init__(self, title: str, pods: StackPods) -> None:
        self._title, self._pods = title, pods
        self._read: deque[Readings] = deque(maxlen=WINDOW)

    def look(self) -> Panel:
        """Return how the stack is now, or what kubectl says where it fails."""
        try:
            self._read.append(self._pods.read())
            failure = self._pods.last_failure()
        except RuntimeError as error:
            return Panel(str(error), title=self._title, title_align="left", border_style="red")
        return view(self._title, figures(self._read[0], self._read[-1]), failure)


def main() -> int:
    """Watch the stack of the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.watch", description="Shows what a stack does.")
    parser.add_argument("stack")
    parser.add_argument("--once", action="store_true", help="show it once")
    arguments = parser.parse_args()
    try:
        command = kubectl(arguments.stack)
    except (FileNotFoundError, builds.NotBuilt) as error:
        print(error, file=sys.stderr)
        return 1
    with StackPods(command) as pods:
        watch = Watch(arguments.stack, pods)
        first = watch.look()
        if arguments.once:
            time.sleep(INTERVAL_SECONDS)
            Console().print(watch.look())
            return 0
        with Live(first, screen=True, auto_refresh=False) as live:
            try:
                while True:
                    time.sleep(INTERVAL_SECONDS)
                    live.update(watch.look(), refresh=True)
            except KeyboardInterrupt:
                return 0


if __name__ == "__main__":
    sys.exit(main())
