"""The newest policies in a directory: a node obeys one from its start on."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..registry.keys import POLICY
from ..registry.paxos.instance import Instance
from ..registry.policy.series import is_readable, number_of, policy_key
from ..registry.types import Decree, Key
from ..registry.unserved import Unserved
from . import layout
from .rows import Rows

Load = Callable[[Sequence[Key]], Mapping[Key, Instance | Unserved]]


def newest_policies(rows: Rows, load: Load) -> Iterator[Decree]:
    """The learned policies, newest first, down to one that this version can read.

    One whose record is damaged, or that is disputed, is left out.
    """
    last = rows.descending(layout.slots_range(POLICY), 1)
    number = number_of(layout.key_of(last[0][0])) if last else None
    while number:
        key = policy_key(number)
        found = load([key])[key]
        if isinstance(found, Instance) and found.learned and found.disputed is None:
            yield found.learned
            if is_readable(found.learned):
                return
        number -= 1
