"""A seeded mistake: a piece of the shipped code, and the wrong code to put in its place.

It imports nothing of the product, since a bug must be seeded before the product is imported.
"""

from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Change:
    """One place of a mistake.

    Args:
        module: the module, below ``decreed``.
        old: the right code. It occurs exactly once in the module, so that a change which no longer
            applies is noticed.
        new: the wrong code.
    """

    module: str
    old: str
    new: str

    @property
    def path(self) -> Path:
        """The file of the module."""
        return ROOT / f"{self.module.replace('.', '/')}.py"

    def made(self, source: str) -> str:
        """The source of the module with the wrong code in it."""
        count = source.count(self.old)
        assert count == 1, f"{self.old!r} stands {count} times in {self.module}"
        return source.replace(self.old, self.new)


@dataclass(frozen=True)
class Bug:
    """One seeded mistake, with the budgets of the hunters that must catch it.

    Args:
        name: the mistake, in a few words.
        changes: the changes that make it.
        states: the budget of the model checker in states; None if the mistake is outside the model.
        home_states: the same where a home has class promises and sends batches; None if the mistake
            does not concern them.
        seeds: the budget of storms; None if no storm shows it.
        trials: the budget of the judge in trials; None if clients cannot see it, or rarely.
        changing_storms: the budget of storms in which members change; None if it does not concern them,
            or they meet it rarely.
        lock_storms: the budget of storms over locks; None if it does not concern locks.
        give_up_storms: the budget of storms over locks whose nodes have no faults and whose
            contenders give up; None if it does not concern giving up.
        governed_storms: the budget of storms in which nodes obey policies; None if it does not concern
            policies, or if they meet it rarely.
        tests: the budget in tests of `tests/locks` and `tests/replica`, for mistakes that storms
            rarely meet; None if other hunters are enough.
        held_by: the file below ``tests`` with a test that must fail, for mistakes that other hunters
            rarely meet or that are outside the replica; None if others are enough.
        disagrees: whether one ballot of each of two nodes is enough for two decrees, so that the
            model checker must catch it even if it checks agreement alone.
    """

    name: str
    changes: tuple[Change, ...]
    states: int | None = None
    home_states: int | None = field(default=None, kw_only=True)
    seeds: int | None = None
    changing_storms: int | None = field(default=None, kw_only=True)
    trials: int | None = None
    lock_storms: int | None = None
    give_up_storms: int | None = None
    governed_storms: int | None = field(default=None, kw_only=True)
    tests: int | None = None
    held_by: str | None = None
    disagrees: bool = False

    @property
    def where(self) -> str:
        """The modules that it changes."""
        return ", ".join(dict.fromkeys(change.module for change in self.changes))
