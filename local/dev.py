"""`make dev`: boots the embedded cluster, runs the `dev` stack on it with the real engine, and asks the model."""

import time

from local import boot, conversation, paths, stack
from local.building import builds
from local.cluster import cluster

STACK = "dev"
AGAIN = "make dev"
NAMESPACE = str(stack.configuration(STACK)["kubernetes:namespace"])


def up() -> None:
    """Have everything and an answer; a second time, only ask. Raises CannotWork, StepsFailed, CommandError."""
    started = time.monotonic()
    boot.boot(NAMESPACE, again=AGAIN)
    stack.unlock_abandoned(STACK)
    stack.select(STACK, cluster.KUBECONFIG).up(on_output=stack.show)
    ask(conversation.QUESTION)
    print(f"\n{AGAIN}: {time.monotonic() - started:.0f} s to the answer. What one wants next:\n")
    for purpose, command in next_commands().items():
        print(f"  # {purpose}\n  {command}")


def ask(question: str) -> str:
    """Ask the served model over its Service, print both, return the answer. Raises OSError if it fails."""
    outputs = stack.select(STACK, cluster.KUBECONFIG).outputs()
    service, model = outputs["service"].value, outputs["servedModels"].value[0]
    with conversation.forwarded(cluster.KUBECONFIG, NAMESPACE, service) as url:
        answer = conversation.ask(url, model, question)
    print(f"\n  > {question}\n  < {answer}", flush=True)
    return answer


def next_commands() -> dict[str, str]:
    """What one wants after the answer, by purpose."""
    kubectl = f"KUBECONFIG={cluster.KUBECONFIG} {builds.program('kubectl')} -n {NAMESPACE}"
    return {
        "ask again": 'make ask QUESTION="Who are you?"',
        "follow the logs": f"{kubectl} logs -f -l app.kubernetes.io/component=serving --prefix",
        "change something, and see what would happen": "$EDITOR Pulumi.dev.yaml && make preview",
        "take it down": "make dev-down",
    }


def down() -> None:
    """Remove the cluster and the stack's state with it; what was built stays."""
    cluster.down()
    stack.forget(STACK)
    print(f"The cluster is gone. Its logs are in {paths.LOGS}, what was built is in {paths.CACHE}.")
