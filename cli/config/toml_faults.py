"""What is wrong with a TOML file, and on which line; readers of TOML say it in words alone."""

import re

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def toml_fault(error: Exception, text: str) -> tuple[int | None, str]:
    """The line of a fault, if its reader knows it, and what the fault is.

    Args:
        error: what the reader raised.
        text: what it read.
    """
    words = str(error)
    found = _PLACE.search(words)
    if found is None:
        return None, words
    what = words[: found.start()]
    if found[1] is None:
        return max(1, len(text.splitlines())), f"{what}, where the file ends"
    return int(found[1]), f"{what}, in column {found[2]}"
