"""Who acts in a governed storm, and random policies for them."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from decreed.registry.identity import ANONYMOUS, Identity

from ..support.world import EPOCH_MS

ROOT = Identity("client", "root")
"""May do everything under every policy: for what the storm itself does."""
ANN, BOB, EVE = (Identity("client", name) for name in ("ann", "bob", "eve"))
CI, BOT = Identity("token", "ci"), Identity("token", "bot")
NODE = Identity("node", "n1")
PEOPLE = (ANN, BOB, EVE, CI, BOT, ANONYMOUS)
PREFIXES = (*("",) * 8, "a", "a1", "b", "p", "p/c", "p/s", "s", "after", "burst", "l", "p/l")
"""``a`` and ``p/c`` are no prefixes of ``a1`` and ``p/c1``, which are claimed."""
LOCKS = ("l", "l2", "p/l")
_RIGHTS = ("read", "claim", "lock", "break")
_EVERYTHING = [
    {"on": "", "may": ["admin", *_RIGHTS]},
    *({"on": name, "may": ["read"]} for name in ("$locks", "$status")),
]
_DAY_MS = 86_400_000


def drawn_policy(chance: random.Random) -> bytes:
    """A policy that is right: some people have some of the rights, and root has all."""
    roles: dict[str, Any] = {f"r{n}": _grants(chance) for n in range(4)}
    names = [str(one) for one in PEOPLE]
    members = {name: chance.sample(list(roles), chance.choice([0, 1, 2, 2])) for name in names}
    if chance.random() < 0.2:
        members["anyone"] = [chance.choice(list(roles))]
    roles |= {"all": _EVERYTHING, "ops": [{"on": "", "may": ["admin"]}]}
    members["client/root"] = ["all"]
    for name in ("client/ann", "token/ci"):
        members[name] += ["ops"] if chance.random() < 0.4 else []
    refused = ["client/bob", "client/eve", "token/ci", "node/n1"]
    document = {
        "format": 1,
        "roles": roles,
        "members": members,
        "tokens": {name: _token(chance, name) for name in ("ci", "bot")},
        "refused": chance.sample(refused, chance.choice([0, 0, 0, 1])),
    }
    return json.dumps(document).encode()


def last_policy() -> bytes:
    """A policy under which root alone may do anything."""
    document = {"format": 1, "roles": {"all": _EVERYTHING}, "members": {"client/root": ["all"]}}
    return json.dumps(document).encode()


def wrong_policy(chance: random.Random) -> bytes:
    """A policy that must be refused: nobody could change it again, or it cannot be read."""
    return chance.choice([b'{"format": 1}', b"{", b'{"format": 9}'])


def _token(chance: random.Random, name: str) -> dict[str, Any]:
    """A token that has expired, expires in the storm or much later."""
    in_ms = chance.choice([0, 1_000, 3_000, 6_000, _DAY_MS]) + chance.randint(0, 2_000)
    ends = datetime.fromtimestamp(EPOCH_MS / 1000, UTC) + timedelta(milliseconds=in_ms)
    return {"sha256": name.encode().hex().ljust(64, "0"), "expires": ends.isoformat()}


def _grants(chance: random.Random) -> list[dict[str, Any]]:
    return [_grant(chance) for _ in range(chance.randint(1, 3))]


def _grant(chance: random.Random) -> dict[str, Any]:
    if chance.random() < 0.1:
        return {"on": chance.choice(["$locks", "$locks/l", "$status"]), "may": ["read"]}
    rights = chance.sample(_RIGHTS, chance.randint(1, len(_RIGHTS)))
    grant: dict[str, Any] = {"on": chance.choice(PREFIXES), "may": rights}
    return grant | ({"when_cut_off": "refuse"} if chance.random() < 0.3 else {})
