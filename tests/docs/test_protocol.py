"""The page on the protocol and its schema, against real frames of every message."""

import hashlib
import re
from typing import Any, get_args

import cbor2
import pycddl  # type: ignore[import-untyped]
import pytest

from decreed.registry.errors import ProtocolError
from decreed.registry.keys import homes
from decreed.registry.locks.terms import Ending, How, LeaseId, Previous, Term, TermClaim
from decreed.registry.paxos import messages as paxos
from decreed.registry.types import Ballot, Claim, Decree, Key, NodeId, Process, Proposal
from decreed.registry.wire import handshake, peers, requests, status
from decreed.registry.wire.codec import decode_batch, encode
from decreed.registry.wire.frames import FrameCutter, pack
from decreed.registry.wire.handshake import VERSION

from .pages import ROOT, blocks, quoted, rows

SCHEMA = (ROOT / "docs" / "protocol.cddl").read_text(encoding="utf-8")
PAGE = ROOT / "docs" / "protocol.md"
NODES = [NodeId("n1"), NodeId("n2"), NodeId("n3")]
ID = bytes(range(16))
BALLOT = Ballot(7, Process(NODES[0], 3))
CLAIM = Claim(Key("prod/a@1"), b"\x00value", "text/plain", "ann", b"id", "note")
DECREE = Decree.of(CLAIM, BALLOT, -1)
STANDING = handshake.PeerIdentity("cluster", ID, NODES[0], ID, 1, ID, 2**63 - 1, None)
LEASE_ID = LeaseId("jobs", 3, b"id")
BROKEN = Ending(How.BROKEN, "op", "it hung")
SECRET = bytes(range(32))
WISH = TermClaim("ann@host", b"id", 1_000, SECRET, "note", b"info")
PLACE = requests.Position(NODES[0], ID, 9)
PEER = status.PeerStatus(NODES[1], "127.0.0.1:7401", True, "", 1, 2)

EXAMPLES: list[Any] = [
    handshake.Refusal(7, "no"),
    handshake.ClientHello("decreed", VERSION, VERSION, "x"),
    handshake.ClientWelcome(
        1, "cluster", ID, NODES[0], (handshake.Member(NODES[0], "127.0.0.1:7400"),), 1, 2, 3
    ),
    handshake.ClientWelcome(1, "cluster", None, NODES[0], (), 1, 2, 3),
    handshake.PeerHello("decreed", VERSION, VERSION, STANDING, 0, None),
    handshake.PeerHello("decreed", VERSION, VERSION, STANDING, 3, handshake.Incarnation(2, ID)),
    handshake.PeerWelcome(1, STANDING, None),
    handshake.PeerWelcome(1, STANDING, handshake.Incarnation(3, ID)),
    handshake.PeerRecall(2),
    requests.ClaimRequest(1, 10, False, CLAIM),
    requests.ClaimNextRequest(1, 10, True, CLAIM),
    requests.GetRequest(1, 3_600_000, CLAIM.key),
    requests.WaitRequest(1, 10, CLAIM.key),
    requests.LatestRequest(1, 10, "prod/a"),
    requests.ListRequest(1, 10, "", "prod/a", 1_000),
    requests.WatchRequest(1, 10, "prod", None, 1),
    requests.WatchRequest(1, 10, "prod", PLACE, 1),
    requests.StatusRequest(1),
    requests.Cancel(1),
    requests.ClientPing(1),
    requests.ClientPong(1),
    requests.Decreed(1, DECREE),
    requests.Undecided(1),
    requests.Failed(1, 6, "time"),
    requests.ListPage(1, (DECREE, DECREE), None),
    requests.ListPage(1, (), "prod/a"),
    requests.WatchPage(1, (DECREE,), PLACE, False),
    status.StatusReport(
        1, NODES[0], "cluster", ID, 1, "0.1.0", True, "", 2, 0, 2, 2, 5, (PEER,)
    ),
    paxos.Prepare(CLAIM.key, BALLOT),
    paxos.Promise(CLAIM.key, BALLOT, None),
    paxos.Promise(CLAIM.key, BALLOT, Proposal(BALLOT, DECREE)),
    paxos.Accept(CLAIM.key, BALLOT, DECREE),
    paxos.Accepted(CLAIM.key, BALLOT),
    paxos.Nack(CLAIM.key, BALLOT, BALLOT),
    paxos.Nack(CLAIM.key, BALLOT, None),
    paxos.Commit(CLAIM.key, DECREE),
    paxos.PrepareClass(BALLOT, ID),
    paxos.PromiseClass(BALLOT, (CLAIM.key,), 7),
    paxos.AcceptMany(BALLOT, 1, (DECREE,)),
    paxos.AcceptedMany(BALLOT, 1, (CLAIM.key,)),
    paxos.CommitMany(BALLOT, (CLAIM.key,)),
    peers.Query(1, CLAIM.key),
    peers.QueryAnswer(1, False, DECREE),
    peers.QueryAnswer(1, True, None),
    peers.Scan(1, 1_000, "", "", 1, (peers.Span(CLAIM.key, ID), peers.Span(None, ID))),
    peers.ScanAnswer(1, (DECREE,), (CLAIM.key,), None),
    peers.ScanAnswer(1, (), (), CLAIM.key),
    peers.CancelScan(1),
    peers.Pull(ID, 0, 4_096),
    peers.FeedPage(ID, 0, 1, 1, (CLAIM.key,), ID),
    peers.Fetch((CLAIM.key,)),
    peers.Fetched((DECREE,)),
    peers.Ping(1, True, False),
    requests.LockRequest(1, 10, "jobs", True, WISH),
    requests.KeepAliveRequest(1, 10, LEASE_ID, SECRET),
    requests.EndRequest(1, 10, LEASE_ID, BROKEN, None),
    requests.EndRequest(1, 10, LEASE_ID, BROKEN, SECRET),
    requests.GiveUpRequest(1, 10, "jobs", b"id", 1_000, SECRET),
    requests.HolderRequest(1, 10, "jobs"),
    requests.Granted(1, DECREE, True),
    requests.HeldBy(1, DECREE, 7, None, 2),
    requests.HeldBy(1, DECREE, 7, BROKEN, 2),
    requests.Kept(1),
    requests.Superseded(1),
    requests.Ended(1),
    requests.GivenUp(1),
    peers.TermRefused(CLAIM.key, BALLOT, 7),
    peers.AskLease(1, LEASE_ID, 1_000, None),
    peers.AskLease(1, LEASE_ID, 1_000, SECRET),
    peers.LeaseAnswer(1, 7, None, False, None),
    peers.LeaseAnswer(1, 7, BROKEN, True, DECREE),
    peers.Renew(1, LEASE_ID, 1_000, SECRET),
    peers.GiveUp(1, "jobs", b"id", 1_000, SECRET),
    peers.GiveUpTaken(1),
    peers.Renewed(1, True),
    peers.EndTerm(LEASE_ID, 1_000, BROKEN),
    peers.ForgottenTerms("jobs", 9),
]  # fmt: skip
UNIONS: dict[str, Any] = {
    "request": requests.Request,
    "answer": requests.Answer,
    "peer-message": peers.PeerMessage,
    "client-greeting": handshake.ClientHello,
    "peer-greeting": handshake.PeerHello,
    "reception": handshake.Reception,
}


UNION_OF = {kind: union for union in UNIONS.values() for kind in get_args(union) or (union,)}


def rule_of(kind: type) -> str:
    """The schema's name for a message: ``GetRequest`` is ``get-request``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


def tag_of(kind: Any) -> int:
    tag: int = kind.__struct_config__.tag
    return tag


def payload(*messages: object) -> bytes:
    """The payload of the frame in which `messages` would travel."""
    [data] = FrameCutter(1 << 20).feed(b"".join(pack(map(encode, messages))))
    return data


def refuses(rule: str, message: list[Any]) -> bool:
    """Whether the schema says that a message is not of the kind named."""
    try:
        fits(rule, message)
    except pycddl.ValidationError:
        return True
    return False


def fits(rule: str, message: list[Any]) -> None:
    """Check one message; the validator checks only the first of an array of messages."""
    found = re.search(rf"^{rule} += ((?:.+\n)+?)(?=[a-z\n;]|\Z)", SCHEMA, re.MULTILINE)
    assert found, rule
    # use what the rule stands for: after a second name the validator accepts any choice
    pycddl.Schema(f"this-message = {found[1]}\n{SCHEMA}").validate_cbor(cbor2.dumps(message))


def members(union: Any) -> set[type]:
    return set(get_args(union) or (union,))


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: rule_of(type(m)))
def test_each_message_of_a_real_frame_fits_the_schema(message: Any) -> None:
    kind = type(message)
    data = payload(message, message)
    assert decode_batch(data, kind) == (message, message)
    for plain in cbor2.loads(data):
        fits(rule_of(kind), plain)


@pytest.mark.parametrize("kind", sorted({type(m) for m in EXAMPLES}, key=tag_of), ids=rule_of)
def test_a_wrong_message_is_refused_by_schema_and_program(kind: type) -> None:
    example = next(message for message in EXAMPLES if type(message) is kind)
    [fields] = cbor2.loads(payload(example))
    assert refuses(rule_of(kind), fields[:-1])
    for wrong in ([99, *fields[1:]], fields[:1], [*fields, 0], [fields[0], {}, *fields[2:]]):
        assert refuses(rule_of(kind), wrong), wrong
        with pytest.raises(ProtocolError):
            decode_batch(cbor2.dumps([wrong]), UNION_OF[kind])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("get-request", [52, 1, 10, ""]),
        ("get-request", [52, 1, 0, "k"]),
        ("get-request", [52, -1, 10, "k"]),
        ("list-request", [55, 1, 10, "", "", 1_001]),
        ("client-hello", [1, "other", 1, 1, ""]),
        ("promise", [11, "k", [1, ["n1", 1]], 3]),
        ("pull", [34, b"short", 0, 1]),
    ],
)
def test_the_schema_holds_the_bounds(rule: str, message: list[Any]) -> None:
    assert refuses(rule, message)


def test_the_schema_as_a_whole_is_sound() -> None:
    pycddl.Schema(SCHEMA)


@pytest.mark.parametrize("name", UNIONS)
def test_the_schema_has_the_same_messages_in_each_direction(name: str) -> None:
    found = re.search(rf"^{name} += (.*(?:\n +.*)*)", SCHEMA, re.MULTILINE)
    assert found
    assert set(re.findall(r"[a-z-]+", found[1])) == {
        rule_of(kind) for kind in members(UNIONS[name])
    }


def test_there_is_an_example_of_every_message() -> None:
    every = {kind for union in UNIONS.values() for kind in members(union)}
    assert {type(message) for message in EXAMPLES} == every


def test_the_tags_on_the_page_are_those_of_the_messages() -> None:
    tags = {rule_of(type(message)): tag_of(type(message)) for message in EXAMPLES}
    text = PAGE.read_text(encoding="utf-8")
    listed: dict[str, int] = {}
    for heading in ("tag | request", "tag | answer", "tag | message"):
        for row in rows(PAGE, heading):
            numbers = [int(number) for number in row[0].split(", ")]
            listed |= dict(zip(quoted(row[1]), numbers, strict=True))
    greetings = {
        name: int(tag) for name, tag in re.findall(r"`([a-z-]+)`\s\((?:tag )?(\d)\)", text)
    }
    assert listed | greetings == tags


def test_the_greeting_on_the_page_is_what_a_client_sends() -> None:
    shown = next(block for block in blocks(PAGE, "text") if block.text.startswith("00 00"))
    hello = handshake.ClientHello("decreed", VERSION, VERSION, "x")
    assert bytes.fromhex(shown.text) == b"".join(pack([encode(hello)]))


def test_the_homes_on_the_page_are_those_of_the_code() -> None:
    table = rows(PAGE, "key | hash for n1")
    assert len(table) >= 5
    for key, *hashes, order in table:
        name = Key(quoted(key)[0])
        path = name.partition("@")[0]
        for node, shown in zip(NODES, hashes, strict=True):
            score = hashlib.blake2b(f"{node}\0{path}".encode(), digest_size=8).hexdigest()
            assert quoted(shown) == [score]
        assert ", ".join(homes(name, NODES)) == order


def test_the_value_of_a_terms_decree_is_as_the_schema_says() -> None:
    for previous in (None, Previous(b"id", 500, BROKEN)):
        fits("term", cbor2.loads(encode(Term(1_000, b"{}", previous))))
