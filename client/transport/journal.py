"""The client's log, without loading `logging`: if nobody else loaded it, nobody reads logs."""

import sys


class Journal:
    """Stands for the logger `name`, for nothing above `logging.INFO`.

    Warnings would be shown even if nobody had set up logging.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def info(self, message: str, *values: object) -> None:
        """Log for people who follow what the client does."""
        if logging := sys.modules.get("logging"):
            logging.getLogger(self._name).info(message, *values, stacklevel=2)

    def debug(self, message: str, *values: object) -> None:
        """Log for people who look for a fault."""
        if logging := sys.modules.get("logging"):
            logging.getLogger(self._name).debug(message, *values, stacklevel=2)
