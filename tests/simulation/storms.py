"""The storm of a plan, of whatever kind."""

from .changing_storm import ChangingStorm
from .governed_storm import governed_storm_of
from .plan import Plan
from .storm import Storm


def storm_of(plan: Plan) -> Storm:
    """The storm of a plan: governed if it says so, and with changes of members if it has a mood."""
    if plan.governed:
        return governed_storm_of(plan)
    return ChangingStorm(plan) if plan.mood else Storm(plan)
