"""When a server that refuses the question will not answer it either if it is asked until the model's time is over."""

from completion import Answer

FEW = 5


class Refusals:
    """Counts the refusals in a row that blame the question: a name that is not served, a request that is not known."""

    def __init__(self) -> None:
        self._count = 0
        self._said = ""

    def note(self, answer: Answer) -> None:
        """Take notice of an answer."""
        self._count = self._count + 1 if answer.final else 0
        self._said = answer.problem

    @property
    def final(self) -> str:
        """What to tell when there were too many; empty before."""
        if self._count < FEW:
            return ""
        return (
            f"the server is up and refused the question {self._count} times: {self._said}. Compare the served model's "
            "name, its chat template and deepseek:serving.extraArgs"
        )
