"""The learner: a chosen decree becomes known to a node, and stays. R08, R20, R21."""

from collections.abc import Iterable

from msgspec.structs import replace

from ..types import Ballot, Decree, Key
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


def learn_first(decrees: Iterable[Decree]) -> dict[Key, Instance]:
    """The instances of keys that had no decree, after these were reported as chosen."""
    return {decree.key: Instance(None, None, decree) for decree in decrees}


def all_chosen_in(instances: Iterable[Instance], ballot: Ballot) -> list[Decree]:
    """The decrees accepted here in `ballot`, given that what was proposed in it is chosen.

    A ballot carries one value of a key (R05), so the decree accepted in it here is the chosen one.
    """
    accepted = [instance.accepted for instance in instances]
    return [each.decree for each in accepted if each is not None and each.ballot == ballot]
