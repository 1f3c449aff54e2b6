"""Mistakes in how the seat of a node, its withheld keys and signing keys are kept (M05, M18)."""

from .bug import Bug, Change

_TESTS = "storage/test_seat.py"
_MEMBERSHIP_TESTS = "replica/test_signing_keys.py"


def _bug(name: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=_TESTS)


WITHHELD = (
    _bug(
        "a withheld key is a blank one",
        "storage.batch",
        "            self.rows[layout.instance_key(key)] = withheld(",
        "            _ = withheld(",
    ),
    _bug(
        "a withheld key is not in doubt",
        "storage.pending_journal",
        "        fresh += [key for key in withheld if key not in page_of]\n",
        "",
    ),
    _bug(
        "withholding replaces a learned decree",
        "storage.withheld",
        "return found.learned is None",
        "return True",
    ),
    _bug(
        "withholding drops what the node had accepted",
        "storage.withheld",
        "own if isinstance(own, Instance) else None",
        "None",
    ),
    _bug(
        "a withheld key is served from the cache",
        "storage.store",
        "gone.union(withheld) if withheld else gone",
        "gone",
    ),
)
SEAT = (
    _bug(
        "a seat is not written",
        "storage.batch",
        "self.rows[layout.EPOCH_KEY] = record",
        "pass",
    ),
)

KEYS = (
    Bug(
        "a peer with another signing key is let in",
        (
            Change(
                "registry.replica.peer_memory",
                "known.signing_key in (None, key):",
                "True:",
            ),
        ),
        held_by=_MEMBERSHIP_TESTS,
    ),
    Bug(
        "a hello that tells no key makes the node forget the one that it knew",
        (
            Change(
                "registry.replica.peer_memory",
                "            key = known.signing_key\n",
                "            key = None\n",
            ),
        ),
        held_by=_MEMBERSHIP_TESTS,
    ),
    Bug(
        "a key that is gone is replaced by a new one",
        (
            Change(
                "storage.signing_key",
                "        if known is not None:\n            raise Damaged(",
                "        if False:\n            raise Damaged(",
            ),
            Change(
                "storage.signing_key",
                "if known is not None and public != known:",
                "if False:",
            ),
        ),
        held_by="storage/test_signing_key.py",
    ),
)

BUGS = WITHHELD + SEAT + KEYS
