"""Policies for tests, as documents and drawn at random."""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from decreed.registry.identity import Identity
from decreed.registry.policy.document import Policy
from decreed.registry.policy.parsing import parse

few = settings(max_examples=30, deadline=None)
"""Enough to find what is wrong with a few roles, and cheap."""
ALICE = Identity("client", "alice")
BOB = Identity("client", "bob")
CI = Identity("token", "ci")
EXPIRES_MS = 1_801_440_000_000
"""When the token of `SMALL` expires: 2027-02-01T00:00:00Z."""
BEFORE_MS = EXPIRES_MS - 1

SMALL: dict[str, Any] = {
    "format": 1,
    "roles": {
        "ops": [{"on": "", "may": ["admin", "read"]}],
        "deploy": [{"on": "prod/app", "may": ["claim", "lock"]}],
    },
    "members": {"client/alice": ["ops"], "token/ci": ["deploy"]},
    "tokens": {"ci": {"sha256": "ab" * 32, "expires": "2027-02-01T00:00:00Z"}},
}


def changed(**sections: Any) -> dict[str, Any]:
    """`SMALL` with other sections."""
    return {**SMALL, **sections}


def read(document: Any) -> Policy:
    """The policy of a document that is given as plain data."""
    return parse(json.dumps(document).encode())


NAMES = st.sampled_from(["alice", "bob", "ci"])
ROLE_NAMES = st.sampled_from(["ops", "deploy", "look"])
SEGMENTS = st.sampled_from(["a", "ab", "b"])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
RIGHTS = st.sampled_from(["read", "claim", "lock", "break", "act-for"])
GRANTS = st.one_of(
    st.fixed_dictionaries(
        {
            "on": st.one_of(st.just(""), PATHS),
            "may": st.lists(RIGHTS, min_size=1, max_size=3),
            "when_cut_off": st.sampled_from(["serve", "refuse"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "on": st.sampled_from(["$locks", "$locks/a", "$status"]),
            "may": st.just(["read"]),
        }
    ),
)
SUBJECTS = st.one_of(
    st.just("anyone"), st.just("anonymous"), NAMES.map(lambda n: f"client/{n}"), st.just("token/ci")
)
IDENTITIES = st.one_of(
    st.just(Identity("anonymous", "")),
    st.builds(Identity, st.sampled_from(["client", "token", "node"]), NAMES),
)
KEYS: st.SearchStrategy[str] = st.one_of(
    st.tuples(PATHS, st.sampled_from(["", "@1", "@12"])).map("".join),
    st.sampled_from(["$locks/a@3", "$locks/ab@1", "$members@2", "$status"]),
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Documents that are right: each has an administrator of its own."""
    roles = draw(st.dictionaries(ROLE_NAMES, st.lists(GRANTS, max_size=3), max_size=3))
    known = st.sampled_from([*roles, "root"])
    members = draw(st.dictionaries(SUBJECTS, st.lists(known, max_size=2), max_size=4))
    for nameless in ("anyone", "anonymous"):
        members[nameless] = [name for name in members.get(nameless, []) if name != "root"]
    expires = draw(st.sampled_from(["1970-01-01T00:00:00.005Z", "2027-02-01T00:00:00+01:00"]))
    refused = ["client/bob", "client/ci", "token/ci", "serial:1f", "sha256:" + "0f" * 32]
    return {
        "format": 1,
        "roles": {**roles, "root": [{"on": "", "may": ["admin"]}]},
        "members": {**members, "client/root": ["root"]},
        "tokens": {"ci": {"sha256": "cd" * 32, "expires": expires}},
        "limits": draw(st.sampled_from([{}, {"anyone": {"connections": 3}}])),
        "quotas": draw(st.sampled_from([[], [{"on": "a", "of": "anyone", "keys": 5}]])),
        "refused": draw(st.lists(st.sampled_from(refused), max_size=2)),
    }
