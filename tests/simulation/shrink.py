"""Making a failing run small: fewer ticks, then fewer faults and fewer requests in them."""

from collections.abc import Callable
from dataclasses import replace

from .plan import Plan

Fails = Callable[[Plan], bool]


def shrink(plan: Plan, fails: Fails, budget: int = 400) -> Plan:
    """The smallest plan found that still fails, within `budget` runs."""
    runs = 0

    def still(smaller: Plan) -> bool:
        nonlocal runs
        runs += 1
        return runs <= budget and fails(smaller)

    plan = _fewer_ticks(plan, still)
    plan = sound if still(sound := replace(plan, sound=True)) else plan
    plan = _leave_out(plan, lambda p: p.silent, lambda p, t: replace(p, silent=t), still)
    return _leave_out(plan, lambda p: p.calm, lambda p, t: replace(p, calm=t), still)


def _fewer_ticks(plan: Plan, fails: Fails) -> Plan:
    """Cut the end off, in smaller and smaller steps."""
    step = plan.ticks // 2
    while step:
        shorter = replace(plan, ticks=plan.ticks - step)
        if shorter.ticks > 0 and fails(shorter):
            plan = shorter
        else:
            step //= 2
    return plan


def _leave_out(
    plan: Plan,
    left_out: Callable[[Plan], frozenset[int]],
    without: Callable[[Plan, frozenset[int]], Plan],
    fails: Fails,
) -> Plan:
    """Leave ticks out of one part, in smaller and smaller blocks."""
    size = plan.ticks
    while size:
        for start in range(0, plan.ticks, size):
            block = range(start, min(start + size, plan.ticks))
            smaller = without(plan, left_out(plan).union(block))
            if smaller != plan and fails(smaller):
                plan = smaller
        size //= 2
    return plan
