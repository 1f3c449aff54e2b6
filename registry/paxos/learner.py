"""The learner: what is chosen becomes known, and stays. R08, R20, R21."""

from msgspec.structs import replace

from ..types import Ballot, Decree
from .instance import Instance


def learn(instance: Instance, decree: Decree) -> Instance:
    """The instance of a node that was told that `decree` is chosen.

    Promise and acceptance are dropped: whatever is asked from now on, the answer is the decree, so
    they can never matter again. A second, different decree is not believed over the first; it is
    kept as evidence, and `disputed` stops the key from being served.
    """
    if instance.learned is None:
        return Instance(learned=decree)
    if instance.learned == decree or instance.disputed is not None:
        return instance
    return replace(instance, disputed=decree)


def chosen_in(instance: Instance, ballot: Ballot) -> Decree | None:
    """What is chosen, if it is known that the proposal of `ballot` is; None if it is not held here.

    A ballot carries one value (R05), so what was accepted in it here is what was chosen.
    """
    accepted = instance.accepted
    return accepted.decree if accepted is not None and accepted.ballot == ballot else None
