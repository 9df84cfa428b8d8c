"""The readiness probe of a Ray worker of one of several engines: exit code 0 while its engine serves, otherwise 1.

The Service of the engine has an address while its head is ready. So the pods of an engine that does not serve are
unready together, and an eviction of any of them costs nothing more.

Environment: ENGINE_SERVICE (its host).
"""

import os
import socket
import sys

PORT = 8000
TIMEOUT_SECONDS = 4.0


def problem(host: str, port: int = PORT) -> str:
    """Return why the engine does not serve; nothing where it does."""
    try:
        socket.create_connection((host, port), TIMEOUT_SECONDS).close()
    except OSError as error:
        return f"{host}:{port} takes no connection: {error}"
    return ""


def main() -> None:
    """Probe once."""
    sys.exit(problem(os.environ["ENGINE_SERVICE"]) or None)


if __name__ == "__main__":
    main()
