"""The decrees that change the members of a cluster: ``$members@k`` names the voters of epoch k.

No claim can name such a key. It is read, listed and watched under ``$members`` and no other prefix.
The value has the epoch before as well, so a node that skipped some epochs knows whom it can ask.
"""

from typing import Annotated

from msgspec import Meta

from .errors import ProtocolError
from .keys import MEMBERS, slot_key
from .paxos.epochs import Epoch
from .types import MAX_NODE_CHARS, Claim, Decree, Key, NodeId, Value
from .wire.codec import decode, encode
from .wire.handshake import Address

CONTENT_TYPE = "application/vnd.decreed.members+cbor"
SLOTS = f"{MEMBERS}@"
"""What the key of every such decree begins with."""
MAX_VOTERS = 7


class MembersChange(Value, frozen=True):
    """The value of ``$members@k``.

    Args:
        epoch: epoch k.
        before: epoch k - 1, whose voters chose this decree.
        addresses: where each voter of epoch k was last met, in the order of their names; a hint.
    """

    epoch: Epoch
    before: Epoch
    addresses: Annotated[tuple[Address, ...], Meta(max_length=MAX_VOTERS)]

    def __post_init__(self) -> None:
        if self.epoch.number != self.before.number + 1:
            raise ValueError("an epoch follows the one before it")
        if None in self.epoch.disks:
            raise ValueError("a change of members names the disk of each voter")
        if len(self.addresses) != len(self.epoch.nodes):
            raise ValueError("a change of members has one address for each voter")
        if any(len(node) > MAX_NODE_CHARS for node in self.epoch.nodes):
            raise ValueError("the name of a voter is too long")

    @property
    def places(self) -> dict[NodeId, str]:
        """The address of each voter, by its name."""
        return dict(zip(self.epoch.nodes, self.addresses, strict=True))


def members_key(epoch: int) -> Key:
    """The key of the decree that names the voters of an epoch; epoch 0 has none."""
    return slot_key(MEMBERS, epoch)


def epoch_of(key: Key) -> int | None:
    """Which epoch's voters a key names; None for any other key."""
    slot = key.removeprefix(SLOTS)
    return int(slot) if slot != key and slot.isdecimal() else None


def claim_of(change: MembersChange, claimant: str, claim_id: bytes, note: str = "") -> Claim:
    """The claim whose decree makes this change."""
    key = members_key(change.epoch.number)
    return Claim(key, encode(change), CONTENT_TYPE, claimant, claim_id, note)


def change_of(decree: Decree) -> MembersChange:
    """What a decree changes.

    Raises:
        ProtocolError: if the decree names no members, or those of another epoch.
    """
    change = decode(decree.value, MembersChange)
    if members_key(change.epoch.number) != decree.key:
        raise ProtocolError(f"{decree.key!r} names the voters of epoch {change.epoch.number}")
    return change


def is_same_change(one: bytes, other: bytes) -> bool:
    """Whether two values make the same nodes voters, with the same sizes; the addresses are hints."""
    try:
        return decode(one, MembersChange).epoch == decode(other, MembersChange).epoch
    except ProtocolError:
        return False
