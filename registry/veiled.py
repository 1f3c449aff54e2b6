"""Text for logs and tracebacks of values that have a part which nobody may see there (S22).

What users freeze or publish, and why they did so, is shown to those who ask for it, and nowhere else: a
traceback with the local variables of a node, as many tools make them, must not give it away.
"""

from msgspec import Struct


def veiled(value: Struct, *hidden: str) -> str:
    """The ``repr`` of a value, without what is in the fields `hidden`."""
    shown = (
        f"{name}={'…' if name in hidden else repr(getattr(value, name))}"
        for name in value.__struct_fields__
    )
    return f"{type(value).__name__}({', '.join(shown)})"
