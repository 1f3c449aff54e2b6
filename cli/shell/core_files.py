"""No core files: the memory of a process that holds keys is written to no disk when it breaks."""

import os
import resource

DEBUG_VARIABLE = "DECREED_DEBUG"


def write_no_core_file() -> None:
    """From now on this process, and those that it starts, leave no core file (S22).

    ``DECREED_DEBUG=1`` keeps them, for somebody who looks for a fault in a library.
    """
    if not os.environ.get(DEBUG_VARIABLE):
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
