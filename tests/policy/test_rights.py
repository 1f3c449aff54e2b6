"""What a policy allows: S07, S08, S12, S13 and S19, against a model that reads the document naively."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decreed.registry.identity import ANONYMOUS, Identity
from decreed.registry.policy.document import CutOff, Right
from decreed.registry.policy.rights import (
    CLUSTER,
    Allowed,
    Denial,
    Prefixes,
    Readable,
    Rights,
    Verdict,
)
from decreed.registry.types import Key

from .samples import (
    ALICE,
    BEFORE_MS,
    BOB,
    CI,
    EXPIRES_MS,
    IDENTITIES,
    KEYS,
    PATHS,
    SMALL,
    changed,
    documents,
    few,
    read,
)


def is_below(key: str, prefix: str) -> bool:
    """Whether a prefix covers a key, by splitting both into segments."""
    path = key.split("@")[0].split("/")
    if not prefix:
        return not key.startswith("$")
    return path[: len(prefix.split("/"))] == prefix.split("/")


def expiry_ms(text: str) -> int:
    return 5 if text.startswith("1970") else EXPIRES_MS - 3_600_000


def model(
    document: dict[str, Any], identity: Identity, right: str, key: str, now_ms: int
) -> Verdict:
    """The same answer, by going through the whole document each time."""
    name = str(identity)
    denial = Denial(Right(right), key.split("@")[0])
    if name in document["refused"]:
        return denial
    if identity.kind == "node":
        return Allowed() if right == "admin" else denial
    if identity.kind == "token":
        token = document["tokens"].get(identity.name)
        if token is None or now_ms >= expiry_ms(token["expires"]):
            return denial
    members = document["members"]
    roles = [*members.get(name, []), *members.get("anyone", [])]
    covering = [
        grant.get("when_cut_off", "serve")
        for role in roles
        for grant in document["roles"][role]
        if right in grant["may"] and is_below(key, grant["on"])
    ]
    if not covering:
        return denial
    return Allowed(CutOff.REFUSE if "refuse" in covering else CutOff.SERVE)


@few
@given(
    documents(),
    IDENTITIES,
    st.sampled_from(sorted(Right)),
    KEYS,
    st.sampled_from([4, 5, BEFORE_MS - 3_600_000, EXPIRES_MS]),
)
def test_rights_are_what_the_document_says(
    document: dict[str, Any], identity: Identity, right: Right, key: str, now_ms: int
) -> None:
    name = CLUSTER if right is Right.ADMIN else key
    rights = Rights(read(document))
    assert rights.may(identity, right, name, now_ms) == model(
        document, identity, right, name, now_ms
    )


LISTED = st.one_of(st.just(""), PATHS, st.sampled_from(["$locks", "$locks/a", "$status"]))


@few
@given(documents(), IDENTITIES, st.sampled_from([0, EXPIRES_MS]), LISTED, KEYS)
def test_s64_what_is_readable_below_a_prefix_is_what_may_be_read_there(
    document: dict[str, Any], identity: Identity, now_ms: int, prefix: str, key: str
) -> None:
    rights = Rights(read(document))
    found = rights.readable(identity, prefix, now_ms)
    allowed = isinstance(rights.may(identity, Right.READ, key, now_ms), Allowed)
    if isinstance(found, Denial):
        assert found == Denial(Right.READ, prefix)
        assert not (allowed and is_below(key, prefix))
    elif found.within is None:
        assert isinstance(rights.may(identity, Right.READ, prefix, now_ms), Allowed)
        assert allowed or not is_below(key, prefix)
    else:
        assert found.within and all(is_below(each, prefix) for each in found.within)
        covered = [each for each in found.within if is_below(key, each)]
        assert len(covered) == (allowed and is_below(key, prefix))  # never below two of them


@few
@given(documents(), IDENTITIES, LISTED, KEYS)
def test_s15_the_strictest_grant_of_a_list_counts_above_the_prefix_and_below_it(
    document: dict[str, Any], identity: Identity, prefix: str, key: str
) -> None:
    rights = Rights(read(document))
    found = rights.readable(identity, prefix, 0)
    one = rights.may(identity, Right.READ, key, 0)
    if is_below(key, prefix) and isinstance(found, Readable) and isinstance(one, Allowed):
        assert one.when_cut_off is CutOff.SERVE or found.when_cut_off is CutOff.REFUSE


def test_s64_grants_below_a_prefix_stand_in_the_order_of_keys() -> None:
    names = ["p-x", "p", "q/r", "p/deep", "q", "$locks/a", "p0"]
    grants = [{"on": name, "may": ["read"]} for name in names]
    roles = {**SMALL["roles"], "see": grants}
    members = {**SMALL["members"], "client/bob": ["see"]}
    rights = Rights(read(changed(roles=roles, members=members)))
    assert rights.readable(BOB, "", 0) == Readable(("p", "p-x", "p0", "q"))
    assert rights.readable(BOB, "q", 0) == Readable()
    assert rights.readable(BOB, "$locks", 0) == Readable(Prefixes(("$locks/a",)))
    assert rights.readable(BOB, "other", 0) == Denial(Right.READ, "other")


@few
@given(documents(), IDENTITIES, IDENTITIES, KEYS)
def test_s08_a_gateway_needs_the_right_and_so_does_whom_it_names(
    document: dict[str, Any], gateway: Identity, named: Identity, key: str
) -> None:
    rights = Rights(read(document))
    each = (
        rights.may(gateway, Right.ACT_FOR, key, 0),
        rights.may(gateway, Right.READ, key, 0),
        rights.may(named, Right.READ, key, 0),
    )
    both = rights.may_for(gateway, named, Right.READ, key, 0)
    assert isinstance(both, Allowed) == (
        named.kind != "node" and all(isinstance(one, Allowed) for one in each)
    )
    if both == Allowed(CutOff.SERVE):
        assert each == (Allowed(),) * 3


def test_s08_a_gateway_lends_nobody_what_it_may_do_itself() -> None:
    roles = {**SMALL["roles"], "gate": [{"on": "web", "may": ["read", "claim", "act-for"]}]}
    roles["web"] = [{"on": "web", "may": ["read"]}]
    members = {**SMALL["members"], "client/gate": ["gate"], "client/bob": ["web"]}
    rights = Rights(read(changed(roles=roles, members=members)))
    gate = Identity("client", "gate")
    assert rights.may_for(gate, BOB, Right.READ, "web/x", 0) == Allowed()
    assert rights.may_for(gate, BOB, Right.CLAIM, "web/x", 0) == Denial(Right.CLAIM, "web/x")
    assert rights.may_for(BOB, gate, Right.READ, "web/x", 0) == Denial(Right.ACT_FOR, "web/x")


def test_s08_a_gateway_gets_nothing_by_the_rights_of_whom_it_names() -> None:
    roles = {**SMALL["roles"], "gate": [{"on": "web", "may": ["act-for"]}]}
    roles["web"] = [{"on": "web", "may": ["read", "claim"]}]
    members = {**SMALL["members"], "client/gate": ["gate"], "client/bob": ["web"]}
    rights, gate = Rights(read(changed(roles=roles, members=members))), Identity("client", "gate")
    for right in (Right.READ, Right.CLAIM):
        assert rights.may(BOB, right, "web/x", 0) == Allowed()
        assert rights.may_for(gate, BOB, right, "web/x", 0) == Denial(right, "web/x")
    assert rights.readable(gate.acts_for(str(BOB)), "web", 0) == Denial(Right.READ, "web")


def test_s12_a_prefix_is_whole_segments() -> None:
    rights = Rights(read(changed()))
    for name in ("prod/app", "prod/app/x", "prod/app@7", "prod/app/x@1"):
        assert rights.may(CI, Right.CLAIM, name, BEFORE_MS) == Allowed(), name
    for name in ("prod/apple", "prod", "prod/ap", "x/prod/app"):
        assert rights.may(CI, Right.CLAIM, name, BEFORE_MS) == Denial(Right.CLAIM, name)


@pytest.mark.parametrize("name", ["$members@1", "$locks/a@1", "$policy@1", "$status"])
def test_s12_the_empty_prefix_covers_no_name_with_a_dollar(name: str) -> None:
    rights = Rights(read(changed()))
    assert rights.may(ALICE, Right.READ, "any/thing", 0) == Allowed()
    assert rights.may(ALICE, Right.READ, name, 0) == Denial(Right.READ, name.partition("@")[0])


@pytest.mark.parametrize("prefix", ["$members", "$locks", "$locks/a", "$policy"])
def test_s12_the_empty_prefix_shows_no_list_below_a_dollar(prefix: str) -> None:
    rights = Rights(read(changed()))
    assert rights.readable(ALICE, "any/thing", 0) == Readable()
    assert rights.readable(ALICE, prefix, 0) == Denial(Right.READ, prefix)


def test_s13_with_a_policy_nothing_is_allowed_but_what_it_grants() -> None:
    rights = Rights(read(changed()))
    for identity in (BOB, ANONYMOUS):
        for right in Right:
            name = CLUSTER if right is Right.ADMIN else "prod/app"
            assert isinstance(rights.may(identity, right, name, 0), Denial)


def test_s13_a_right_includes_no_other() -> None:
    rights = Rights(read(changed()))
    allowed = {right for right in Right if rights.may(CI, right, "prod/app", 0) == Allowed()}
    assert allowed == {Right.CLAIM, Right.LOCK}


def test_s07_a_token_ends_with_its_expiry_and_a_stranger_is_none() -> None:
    rights = Rights(read(changed()))
    assert rights.may(CI, Right.LOCK, "prod/app", BEFORE_MS) == Allowed()
    assert isinstance(rights.may(CI, Right.LOCK, "prod/app", EXPIRES_MS), Denial)
    stranger = Identity("token", "other")
    everybody = {"on": "", "may": ["read"]}
    opened = changed(
        roles={**changed()["roles"], "see": [everybody]},
        members={**changed()["members"], "anyone": ["see"]},
    )
    assert isinstance(Rights(read(opened)).may(stranger, Right.READ, "a", 0), Denial)
    assert Rights(read(opened)).may(ANONYMOUS, Right.READ, "a", 0) == Allowed()


def test_who_is_refused_has_no_right_left() -> None:
    document = changed(members={**changed()["members"], "client/bob": ["ops"]})
    assert Rights(read(document)).may(BOB, Right.ADMIN, CLUSTER, 0) == Allowed()
    document["refused"] = ["client/bob", "node/n2"]
    rights = Rights(read(document))
    assert isinstance(rights.may(BOB, Right.ADMIN, CLUSTER, 0), Denial)
    assert isinstance(rights.may(Identity("node", "n2"), Right.ADMIN, CLUSTER, 0), Denial)


def test_s24_a_node_has_the_way_back_in_and_nothing_else() -> None:
    rights = Rights(read(changed()))
    node = Identity("node", "n1")
    assert rights.may(node, Right.ADMIN, CLUSTER, 0) == Allowed()
    assert isinstance(rights.may(node, Right.READ, "a", 0), Denial)
    assert isinstance(rights.may_for(ALICE, node, Right.ADMIN, CLUSTER, 0), Denial)


def test_many_identities_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decreed.registry.policy.rights.MAX_CACHED", 4)
    rights = Rights(read(changed()))
    for number in range(20):
        rights.may(Identity("client", f"c{number}"), Right.READ, "a", 0)
        rights.readable(Identity("client", f"c{number}"), "a", 0)
        assert len(rights._grants) <= 4  # pyright: ignore[reportPrivateUsage]
        assert len(rights._readable) <= 4  # pyright: ignore[reportPrivateUsage]
    assert rights.may(ALICE, Right.READ, "a", 0) == Allowed()


def test_an_identity_is_written_as_its_kind_and_name() -> None:
    assert str(ALICE) == "client/alice"
    assert str(ANONYMOUS) == "anonymous"
    assert json.dumps(str(CI)) == '"token/ci"'


GATEWAYS = IDENTITIES.filter(lambda identity: identity.name != "")


@few
@given(documents(), IDENTITIES, GATEWAYS, st.sampled_from(list(Right)), KEYS)
def test_s08_a_named_identity_carries_its_gateway_wherever_the_policy_is_asked(
    document: dict[str, Any], gateway: Identity, named: Identity, right: Right, key: str
) -> None:
    rights, acting = Rights(read(document)), gateway.acts_for(named.recorded)
    expected = rights.may_for(gateway, named, right, key, BEFORE_MS)
    assert rights.may(acting, right, key, BEFORE_MS) == expected
    assert acting.recorded == named.recorded and acting.itself == named


@few
@given(documents(), IDENTITIES, GATEWAYS, KEYS)
def test_s64_what_may_be_read_for_another_is_what_both_may_read_where_one_may_act(
    document: dict[str, Any], gateway: Identity, named: Identity, key: str
) -> None:
    rights, acting = Rights(read(document)), gateway.acts_for(named.recorded)
    path = key.partition("@")[0]
    found = rights.readable(acting, path, BEFORE_MS)
    shown = isinstance(found, Readable) and found.within is None
    allowed = isinstance(rights.may(acting, Right.READ, key, BEFORE_MS), Allowed)
    assert shown == allowed


def test_s07_a_later_token_of_the_same_name_gives_the_earlier_one_nothing() -> None:
    rights = Rights(read(SMALL))
    for digest, allowed in (("", True), ("ab" * 32, True), ("cd" * 32, False)):
        shown = Identity("token", "ci", digest=digest)
        verdict = rights.may(shown, Right.CLAIM, "prod/app/x", BEFORE_MS)
        assert isinstance(verdict, Allowed) == allowed


class Untouched(Prefixes):
    """Prefixes that may be looked up, and not gone through."""

    def __contains__(self, _: object) -> bool:
        raise AssertionError("they are gone through one by one")

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("they are gone through one by one")


@given(st.sets(PATHS | st.just("")), KEYS)
def test_s12_a_key_is_looked_up_among_prefixes_by_its_segments(found: set[str], key: str) -> None:
    path = key.partition("@")[0]
    covered = any(path == each or path.startswith(each + "/") for each in found if each)
    covered = covered or ("" in found and not path.startswith("$"))
    assert Prefixes(sorted(found)).cover(Key(key)) == covered


def test_prefixes_are_not_gone_through_for_each_key() -> None:
    many = Untouched([f"r{number}" for number in range(10_000)])
    assert many.cover(Key("r77/a/b@3")) and not many.cover(Key("r/a"))
