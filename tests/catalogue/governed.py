"""How a mistake around policies is written: storms with policies may have to catch it."""

from .bug import Bug, Change

FEW, MANY, VERY_MANY = 10, 60, 250
"""Budgets of storms with policies: for mistakes that nearly every storm meets, for others, and for rare
ones."""


def governed(
    name: str, held_by: str | None, module: str, old: str, new: str, storms: int | None = None
) -> Bug:
    """A mistake of one change.

    Args:
        name: the mistake, in a few words.
        held_by: as in `Bug`.
        module: the module, below ``decreed.registry``.
        old: the right code.
        new: the wrong code.
        storms: the budget of storms with policies.
    """
    change = Change(f"registry.{module}", old, new)
    return Bug(name, (change,), held_by=held_by, governed_storms=storms)
