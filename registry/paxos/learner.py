"""The learner: a chosen decree becomes known to a node, and stays. R08, R20, R21."""

from msgspec.structs import replace

from ..types import Ballot, Decree
from .instance import Instance


def learn(instance: Instance, decree: Decree) -> Instance:
    """The instance after `decree` was reported as chosen.

    Promise and acceptance are dropped: every question is answered with the decree from now on, so they
    no longer matter. A second, different decree does not replace the first. It is kept as evidence in
    `disputed`, and the key is not served any more.
    """
    if instance.learned is None:
        return Instance(learned=decree)
    if instance.learned == decree or instance.disputed is not None:
        return instance
    return replace(instance, disputed=decree)


def chosen_in(instance: Instance, ballot: Ballot) -> Decree | None:
    """The decree accepted here in `ballot`, given that the proposal of `ballot` is chosen; else None.

    A ballot carries one value (R05), so the decree accepted in it here is the chosen one.
    """
    accepted = instance.accepted
    return accepted.decree if accepted is not None and accepted.ballot == ballot else None
