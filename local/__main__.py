"""The embedded cluster by hand: `python -m local --help` lists the commands; the Makefile calls it."""

import argparse
import sys

from pulumi import automation

from local import boot, conversation, dev
from local.cluster import cluster
from local.steps import StepsFailed


def main() -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("dev", help="from an empty machine to an answer of the dev stack")
    ask = commands.add_parser("ask", help="ask the served model")
    ask.add_argument("--question", default=conversation.QUESTION)
    commands.add_parser("status", help="say what runs; exit status 1 if anything does not")
    commands.add_parser("down", help="remove cluster and stack; what was built stays")
    commands.add_parser("build", help="build what the simulated cluster of the tests needs")
    commands.add_parser("linters", help="build what `make lint` needs beside .venv")
    commands.add_parser("servers", help="install the servers that tests run, and start nothing")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "dev":
                dev.up()
            case "ask":
                dev.ask(arguments.question)
            case "down":
                dev.down()
            case "build":
                boot.build_for_simulation(again="make test-cluster")
            case "linters":
                boot.build_linters(again="make lint")
            case "servers":
                boot.install_servers(again="make servers")
            case _:
                return status()
    except (boot.CannotWork, StepsFailed) as failure:
        print(failure, file=sys.stderr)
        return 1
    except automation.CommandError:
        print(f"The stack did not come up; why stands above. Try again with `{dev.AGAIN}`.", file=sys.stderr)
        return 1
    return 0


def status() -> int:
    """Say what runs."""
    processes = cluster.status()
    for name, pid in processes.items():
        print(f"{name:24} {f'process {pid}' if pid else 'ENDED: ' + str(cluster.DAEMONS.log(name))}")
    answers = cluster.is_up()
    print(f"{'API server':24} {'answers' if answers else 'does not answer'}")
    return 0 if answers and all(processes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
