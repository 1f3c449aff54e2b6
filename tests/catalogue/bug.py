"""A seeded mistake: words of the code that ships, and the wrong words to put in their place.

It imports nothing of the product, since a bug must be seeded before the product is imported.
"""

from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Change:
    """One place of a mistake.

    Args:
        module: where, below ``decreed``.
        old: the right words; they stand there exactly once, so that a change which no longer
            applies is noticed, and none is made by accident of spelling.
        new: the wrong ones.
    """

    module: str
    old: str
    new: str

    @property
    def path(self) -> Path:
        """The file of the module."""
        return ROOT / f"{self.module.replace('.', '/')}.py"

    def made(self, source: str) -> str:
        """The source of the module with the wrong words in it."""
        count = source.count(self.old)
        assert count == 1, f"{self.old!r} stands {count} times in {self.module}"
        return source.replace(self.old, self.new)


@dataclass(frozen=True)
class Bug:
    """One seeded mistake, and who must catch it how soon.

    Args:
        name: what is wrong, in a few words.
        changes: what makes it so.
        states: how many states the model checker may meet before it must have caught it; None if
            what is wrong is not in the model.
        home_states: the same where a home has class promises, and flies; None if what is wrong has
            nothing to do with them.
        seeds: how many storms may pass before one must have caught it; None if no storm shows it.
        trials: how many trials may pass before the judge must have caught it; None if clients
            cannot see it, or hardly ever.
        lock_storms: how many storms over locks may pass before one must have caught it; None if it
            has nothing to do with locks.
        give_up_storms: the same for storms over locks whose nodes are well and whose contenders are not
            patient; None if it has nothing to do with giving up.
        tests: how many of the tests in `tests/locks` and `tests/replica` may pass before one must
            have caught it, for what storms hardly meet; None if others are enough.
        held_by: the file below ``tests`` of which one test must fail, for what others hardly meet, or
            what is no part of a replica; None if others are enough.
        disagrees: whether one ballot of each of two nodes is enough for two decrees, so that the
            model checker must catch it even if it looks at agreement alone.
    """

    name: str
    changes: tuple[Change, ...]
    states: int | None = None
    home_states: int | None = field(default=None, kw_only=True)
    seeds: int | None = None
    trials: int | None = None
    lock_storms: int | None = None
    give_up_storms: int | None = None
    tests: int | None = None
    held_by: str | None = None
    disagrees: bool = False

    @property
    def where(self) -> str:
        """The modules with the mistake in them."""
        return ", ".join(dict.fromkeys(change.module for change in self.changes))
