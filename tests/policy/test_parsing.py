"""What is wrong with a policy is told with its place; a policy that is right has one form."""

import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decreed.registry.errors import BadRequest, ProtocolError
from decreed.registry.identity import ANONYMOUS
from decreed.registry.policy.document import MAX_POLICY_BYTES
from decreed.registry.policy.encoding import encode
from decreed.registry.policy.names import parse_identity
from decreed.registry.policy.parsing import admins, parse
from decreed.registry.policy.series import CONTENT_TYPE, claim_of, number_of, policy_key, policy_of
from decreed.registry.types import Ballot, Decree, NodeId, Process

from .samples import ALICE, CI, SMALL, changed, documents, few, read

GRANT = {"on": "a", "may": ["read"]}
ROLES = SMALL["roles"]
MEMBERS = SMALL["members"]
TOKEN = SMALL["tokens"]["ci"]


@few
@given(documents())
def test_the_canonical_form_reads_as_the_same_policy(document: dict[str, Any]) -> None:
    policy = read(document)
    assert parse(encode(policy)) == policy
    assert encode(parse(encode(policy))) == encode(policy)


@few
@given(documents(), st.randoms())
def test_order_and_layout_do_not_change_the_canonical_form(
    document: dict[str, Any], random: Any
) -> None:
    def shuffled(plain: Any) -> Any:
        if isinstance(plain, dict):
            entries: list[tuple[str, Any]] = list(cast("dict[str, Any]", plain).items())
            return {n: shuffled(each) for n, each in random.sample(entries, len(entries))}
        if isinstance(plain, list):
            items: list[Any] = [shuffled(each) for each in plain]
            return random.sample(items, len(items))
        return plain

    laid_out = json.dumps(shuffled(document), indent=2).encode()
    assert encode(parse(laid_out)) == encode(read(document))


FAULTY: list[tuple[Any, str]] = [
    ({}, "format: it is missing"),
    (changed(format=2), "reads format 1 alone"),
    (changed(format=True), "reads format 1 alone"),
    (changed(rolls={}), "'rolls' is no field of a policy"),
    (changed(roles=[]), "roles: Expected `object`, got `array`"),
    (changed(roles={**ROLES, "a b": []}), "roles.a b: a name has"),
    (changed(roles={**ROLES, "x": [{"on": "a", "may": ["rite"]}]}), "roles.x: Invalid enum"),
    (changed(roles={**ROLES, "x": [{"on": "a", "may": []}]}), "roles.x[0].may: it names no right"),
    (changed(roles={**ROLES, "x": [{**GRANT, "not": "b"}]}), "unknown field `not`"),
    (changed(roles={**ROLES, "x": [{"on": "/a", "may": ["read"]}]}), "begins with a slash"),
    (changed(roles={**ROLES, "x": [{"on": "a@1", "may": ["read"]}]}), "it has a slot"),
    (changed(roles={**ROLES, "x": [{"on": "a", "may": ["admin"]}]}), 'grant it on "" alone'),
    (changed(roles={**ROLES, "x": [{"on": "$policy", "may": ["read"]}]}), "cannot be granted"),
    (changed(roles={**ROLES, "x": [{"on": "$members", "may": ["read"]}]}), "cannot be granted"),
    (changed(roles={**ROLES, "x": [{"on": "$locks", "may": ["lock"]}]}), "can only be read"),
    (changed(members={**MEMBERS, "alice": ["ops"]}), "members.alice: 'alice' is no identity"),
    (changed(members={**MEMBERS, "client/a/b": []}), "is no identity"),
    (changed(members={**MEMBERS, "client/bob": ["opps"]}), "there is no role 'opps'"),
    (changed(members={**MEMBERS, "token/cd": ["ops"]}), "there is no token 'cd'"),
    (changed(members={**MEMBERS, "node/n1": ["ops"]}), "a node's certificate has no roles"),
    (changed(members={**MEMBERS, "anyone": ["ops"]}), "admin is for those who have a name"),
    (changed(members={**MEMBERS, "anonymous": ["ops"]}), "admin is for those who have a name"),
    (changed(members={"token/ci": ["ops"]}), "it leaves nobody with admin"),
    (changed(refused=["client/alice"]), "it leaves nobody with admin"),
    (changed(tokens={"ci": {**TOKEN, "sha256": "AB" * 32}}), "tokens.ci.sha256: write SHA-256"),
    (changed(tokens={"ci": {**TOKEN, "expires": "soon"}}), "tokens.ci.expires: write a time"),
    (changed(tokens={"ci": {**TOKEN, "expires": "2027-02-01T00:00:00"}}), "has no zone"),
    (changed(tokens={"ci": {**TOKEN, "expires": "0001-01-01T00:00:00+14:00"}}), "write a time"),
    (changed(tokens={"ci": TOKEN, "cd": TOKEN}), "it is that of the token cd as well"),
    (changed(limits={"anyone": {"connections": 0}}), "limits.anyone: Expected `int` >= 1"),
    (changed(limits={"token/x": {}}), "there is no token 'x'"),
    (changed(quotas=[{"on": "$locks", "of": "anyone"}]), "nobody claims what begins with '$'"),
    (changed(quotas=[{"on": "a", "of": "anyone"}] * 2), "anyone has a quota on 'a' already"),
    (changed(quotas=[{"on": "a", "of": "anyone", "keys": -1}]), "quotas: Expected `int` >= 0"),
    (changed(refused=["sha256:12"]), "refused[0]: write sha256: or serial:"),
    (changed(refused=["serial:0A"]), "refused[0]: write sha256: or serial:"),
    (changed(refused=["anonymous"]), "granting nothing to 'anyone'"),
    (changed(refused=["bob"]), "'bob' is no identity"),
]


@pytest.mark.parametrize(("document", "fault"), FAULTY, ids=[fault for _, fault in FAULTY])
def test_a_fault_is_told_with_its_place(document: Any, fault: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(document)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "it is no JSON"),
        (b"[]", "it is no JSON object"),
        (b"\xff{}", "it is no JSON"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"format": NaN}', "NaN is no JSON"),
        (b'{"format": ' + b"1" * 5_000 + b"}", "it is no JSON"),
        (b'{"format": 1, "roles": {}, "roles": {}}', "'roles' is there twice"),
        (b'{"format": 1, "roles": {"x": 1, "x": 2}}', "'x' is there twice"),
        (b" " * (MAX_POLICY_BYTES + 1), "1048576 are allowed"),
    ],
)
def test_bytes_that_are_no_document(data: bytes, fault: str) -> None:
    with pytest.raises(BadRequest, match="the policy is wrong") as caught:
        parse(data)
    assert fault in str(caught.value)


def test_many_faults_are_counted() -> None:
    with pytest.raises(BadRequest) as caught:
        read(changed(refused=[f"x{number}" for number in range(20)]))
    assert str(caught.value).endswith("; and 12 more")


def test_half_a_character_is_no_text() -> None:
    for document in (
        rb'{"format": 1, "\ud800": {}}',
        rb'{"format": 1, "roles": {"\ud800": [{"on": "a", "may": ["\ud800"]}]}}',
        rb'{"format": 1, "roles": {"a": [{"on": "\ud800", "may": ["read"]}]}}',
        rb'{"format": 1, "refused": ["\ud800"]}',
    ):
        with pytest.raises(BadRequest, match="it is no JSON"):
            parse(document)


@few
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["on", "may", "ops", "client/a", "sha256"]), inner),
        ),
        max_leaves=8,
    ),
    st.sampled_from(["roles", "members", "tokens", "limits", "quotas", "refused"]),
)
def test_any_document_is_a_policy_or_a_fault(section: Any, name: str) -> None:
    try:
        policy = read(changed(**{name: section}))
    except BadRequest:
        return
    assert any(admins(policy))


def test_who_can_change_the_policy_again() -> None:
    members = {**MEMBERS, "client/bob": ["ops"], "client/eve": ["deploy"], "token/ci": ["ops"]}
    assert list(admins(read(changed(members=members, refused=["client/bob"])))) == ["client/alice"]


def test_an_identity_is_read_as_it_is_written() -> None:
    for identity in (ALICE, CI, ANONYMOUS):
        assert parse_identity(str(identity)) == identity
    for text in (
        "",
        "alice",
        "client/",
        "anonymous/x",
        "Client/a",
        "client/a b",
        "client/" + "a" * 129,
    ):
        with pytest.raises(BadRequest, match="is no identity"):
            parse_identity(text)


# -- the series


def decree(claim_key: str, value: bytes, content_type: str = CONTENT_TYPE) -> Decree:
    ballot = Ballot.first(Process(NodeId("n1"), 1))
    claim = claim_of(0, value, "alice", b"1")
    made = Decree.of(claim, ballot, 0)
    assert made.key == claim_key
    return Decree(made.key, value, content_type, "alice", b"1", "", 0, ballot)


def test_s11_the_policy_after_n_is_the_slot_after_it() -> None:
    assert claim_of(6, b"", "alice", b"1").key == policy_key(7) == "$policy@7"
    assert number_of(policy_key(7)) == 7
    assert [number_of(policy_key(1)), number_of(parse_key_text("policy@1"))] == [1, None]
    assert number_of(parse_key_text("$policy")) is None


def parse_key_text(text: str) -> Any:
    return text


def test_s11_a_decree_holds_a_policy_or_says_why_not() -> None:
    policy = read(SMALL)
    assert policy_of(decree("$policy@1", encode(policy))) == policy
    with pytest.raises(ProtocolError, match="holds no policy: the policy is wrong"):
        policy_of(decree("$policy@1", b"{}"))
    with pytest.raises(ProtocolError, match="holds 'text/plain', and no policy"):
        policy_of(decree("$policy@1", encode(policy), "text/plain"))
