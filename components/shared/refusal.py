"""How the program ends when a stack is refused: with one error."""

import os
import sys
from typing import NoReturn

import pulumi

ERROR_IS_TOLD = 32
"""Exit code by which Pulumi's language host knows that the person has been told why; for others it adds an error of
its own ("program exited with non-zero exit code"). Source: `pythonProcessExitedAfterShowingUserActionableMessage` in
sdk/python/cmd/pulumi-language-python/main.go."""

CONFIGURATION = "PULUMI_CONFIG"
"""Set by the language host for the program; it is not set inside the Automation API's own process."""


def refuse(reason: str) -> NoReturn:
    """Tell the reason as an error of the stack, and end the program.

    Inside the Automation API's own process (an inline program) this raises pulumi.RunError, and the engine repeats the
    reason after "an unhandled error occurred". One error cannot be had there: the engine passes over a program's end
    in silence only where the response says `bail` (pkg/resource/deploy/source_eval.go), and Pulumi's server for inline
    programs never does (sdk/python/lib/pulumi/automation/_server.py): it logs a RunError and returns it too. An end
    without an error would count as a program without resources, and the engine would delete what runs.
    """
    if CONFIGURATION not in os.environ:
        raise pulumi.RunError(reason) from None
    pulumi.log.error(reason)
    sys.exit(ERROR_IS_TOLD)
