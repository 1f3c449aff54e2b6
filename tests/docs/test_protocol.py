"""The page on the protocol and its schema, against real frames of every message."""

import hashlib
import re
from typing import Any, get_args

import cbor2
import pycddl  # type: ignore[import-untyped]
import pytest

from decreed.registry.errors import ProtocolError
from decreed.registry.keys import homes
from decreed.registry.locks.restored import Restoration
from decreed.registry.locks.terms import Ending, How, LeaseId, Previous, Term, TermClaim
from decreed.registry.paxos import messages as paxos
from decreed.registry.types import Ballot, Claim, Decree, Key, NodeId, Process, Proposal
from decreed.registry.wire import (
    gateways,
    handshake,
    leases,
    marks,
    packed,
    peers,
    policy,
    requests,
    scrub,
    status,
)
from decreed.registry.wire import members as wire_members
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
VOTER = wire_members.Voter(NODES[0], ID, "n1:7400")
VOTING = wire_members.MemberSeat(
    NODES[0], wire_members.Role.VOTER, ID, "a:1", True, True, 1, 1, 9, 3
)
DOWN = wire_members.MemberSeat(
    NODES[1], wire_members.Role.EARLIER, None, "", False, False, None, None, None
)
PEER = status.PeerStatus(NODES[1], "127.0.0.1:7401", True, "", 1, 2)
SCRUBBED = (NODES[0], False, 1, 10, 12, 4_096, 7)

EXAMPLES: list[Any] = [
    handshake.Refusal(7, "no"),
    handshake.ClientHello("decreed", VERSION, VERSION, "x"),
    handshake.TokenHello("decreed", VERSION, VERSION, "x", b"decreed-token-ci-abc"),
    handshake.ClientWelcome(
        1, "cluster", ID, NODES[0], (handshake.Member(NODES[0], "127.0.0.1:7400", 1),), 1, 2, 3
    ),
    handshake.ClientWelcome(
        *(1, "cluster", ID, NODES[0], (), 1, 2, 3, 4),
        (handshake.Member(NODES[1], "127.0.0.1:7401", 1),),
    ),
    handshake.ClientWelcome(1, "cluster", None, NODES[0], (), 1, 2, 3),
    handshake.PeerHello("decreed", VERSION, VERSION, STANDING, 0, None),
    handshake.PeerHello("decreed", VERSION, VERSION, STANDING, 3, handshake.Incarnation(2, ID)),
    handshake.PeerWelcome(2, STANDING, None, bytes(32)),
    handshake.PeerWelcome(2, STANDING, handshake.Incarnation(3, ID), bytes(32)),
    handshake.PeerWelcome(2, STANDING, None, bytes(32), Restoration(ID, 1, 100, ID, ID)),
    handshake.PeerRecall(2),
    handshake.PeerOpening("decreed", VERSION, VERSION, "cluster", NODES[0], NODES[1], SECRET),
    handshake.PeerOpening("decreed", VERSION, VERSION, "cluster", NODES[0], None, SECRET),
    handshake.PeerOpened(NODES[0], SECRET, SECRET),
    handshake.Sealed(b"\x82\x05\x02", SECRET),
    handshake.DirectoryRefusal("no", handshake.Evidence(ID, 0, 3, ID, 9, SECRET)),
    handshake.DirectoryRefusal("no", handshake.Evidence(ID, 2, 0, ID, 0, None, 2, 1, 7)),
    requests.ClaimRequest(1, 10, False, CLAIM),
    requests.ClaimNextRequest(1, 10, True, CLAIM),
    requests.GetRequest(1, 3_600_000, CLAIM.key),
    requests.WaitRequest(1, 10, CLAIM.key),
    requests.LatestRequest(1, 10, "prod/a"),
    requests.ListRequest(1, 10, "", "prod/a", 1_000),
    requests.WatchRequest(1, 10, "prod", None, 1),
    requests.WatchRequest(1, 10, "prod", PLACE, 1),
    requests.StatusRequest(1),
    marks.MarkRequest(1),
    marks.MarkTold(1, NODES[0], marks.FeedMark(NODES[0], ID, 2, 9)),
    marks.MarkTold(1, NODES[0], None),
    requests.Cancel(1),
    requests.ClientPing(1),
    requests.ClientPong(1),
    requests.Decreed(1, DECREE),
    requests.Undecided(1),
    requests.Failed(1, 6, "time"),
    requests.ListPage(1, (DECREE, DECREE), None),
    requests.ListPage(1, (), "prod/a"),
    packed.PackedPage(1, packed.pack_decrees((DECREE,)), "prod/a"),
    requests.WatchPage(1, (DECREE,), PLACE, False),
    status.StatusReport(
        1, NODES[0], "127.0.0.1:7400", "cluster", ID, 1, "0.1.0", True, "", 2, 0, 2, 2, 5, (PEER,)
    ),
    status.StatusReport(
        1, NODES[0], "n1:1", "c", None, 1, "0.1.0", False, "x", 2, 0, 2, 2, 5, (), 9, "b"
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
    peers.Query(1, (CLAIM.key,)),
    peers.QueryAnswer(1),
    peers.QueryAnswer(1, (CLAIM.key,), (CLAIM.key,)),
    peers.Scan(1, 1_000, "", "", 1, (peers.Span(CLAIM.key, ID), peers.Span(None, ID))),
    peers.Scan(1, 1_000, "", "", 1, (peers.Span(None, ID),), ("a/b", "c")),
    peers.ScanAnswer(1, (DECREE,), (CLAIM.key,), None),
    peers.ScanAnswer(1, (), (), CLAIM.key),
    peers.CancelScan(1),
    peers.Pull(ID, 0, 4_096, decrees=True),
    peers.Pull(ID, 9, 4_096, known_below=77),
    peers.FeedPage(ID, 0, 1, 1, (CLAIM.key,), ID),
    peers.FeedUnread(ID, 0, "damaged"),
    peers.Fetch((CLAIM.key,)),
    peers.PassedClaim(requests.ClaimRequest(1, 10, True, CLAIM), "client/alice"),
    peers.PassedClaim(requests.ClaimRequest(1, 10, True, CLAIM), "client/bob", 1, "client/gw"),
    peers.Fetched((DECREE,)),
    peers.Fetched((), (CLAIM.key,)),
    peers.Ping(1, True, False),
    policy.AskPolicy(1, 0, 2),
    policy.PolicyTold(1, 0, 2, 10_000),
    peers.MemberAddresses((handshake.Member(NODES[0], "[::1]:7400", 3),)),
    requests.LockRequest(1, 10, "jobs", True, WISH),
    requests.KeepAliveRequest(1, 10, LEASE_ID, SECRET),
    requests.EndRequest(1, 10, LEASE_ID, BROKEN, None),
    requests.EndRequest(1, 10, LEASE_ID, BROKEN, SECRET),
    requests.GiveUpRequest(1, 10, "jobs", b"id", 1_000, SECRET),
    requests.HolderRequest(1, 10, "jobs"),
    wire_members.ChangeRequest(1, 10, 0, (VOTER,), 1, 1, "ann", b"id", "why", True),
    wire_members.MembersRequest(1, 10),
    requests.PolicyRequest(1, 10, 0, b"{}", "ann", b"id", "why"),
    gateways.ActForRequest("client/bob", requests.GetRequest(1, 10, CLAIM.key)),
    requests.PolicyApplied(1, DECREE, False, (NODES[0],)),
    wire_members.ChangePlan(1, 3, (wire_members.Finding(wire_members.FindingKind.WAITS, "n4"),)),
    wire_members.ChangePlan(1, 3, ()),
    scrub.ScrubRequest(1, True, 0),
    scrub.ScrubReport(1, *SCRUBBED, None, (NODES[1],), (), 2, 1, (CLAIM.key,), 1, (CLAIM.key,), ("x",)),
    scrub.ScrubReport(1, *SCRUBBED, 9, (), (NODES[1],), 0, 0, (), 0, (), ()),
    wire_members.MembersReport(1, NODES[0], "c", ID, 1, 2, 2, 2, (NODES[0],), (VOTING, DOWN)),
    wire_members.MembersReport(1, NODES[0], "c", None, 0, 1, 1, 0, (), (VOTING,)),
    requests.Granted(1, DECREE, True),
    requests.HeldBy(1, DECREE, 7, None, 2),
    requests.HeldBy(1, DECREE, 7, BROKEN, 2),
    requests.Kept(1),
    requests.Superseded(1),
    requests.Ended(1),
    requests.GivenUp(1),
    peers.TermRefused(CLAIM.key, BALLOT, 7),
    leases.AskLease(1, LEASE_ID, 1_000, None),
    leases.AskLease(1, LEASE_ID, 1_000, SECRET),
    leases.LeaseAnswer(1, 7, None, False, None),
    leases.LeaseAnswer(1, 7, BROKEN, True, DECREE),
    leases.Renew(1, LEASE_ID, 1_000, SECRET),
    leases.GiveUp(1, "jobs", b"id", 1_000, SECRET),
    leases.GiveUpTaken(1),
    peers.AskState(1, 2, None),
    peers.AskState(1, 2, CLAIM.key),
    peers.StatePage(1, 2, None, 3, False, (Proposal(BALLOT, DECREE),), (Key("b"),), Key("b"), 9),
    peers.StatePage(1, 2, Key("b"), 3, True, (), (), None, 9),
    peers.SeatTold(ID, 3, 2, None, 0),
    peers.SeatTold(ID, 3, 2, 2, 9, 1),
    peers.AskStanding(1, 9),
    peers.Standing(1, VERSION, ID, "n1:7400", 2, 2, True, 9),
    peers.Standing(1, VERSION, ID, "", 2, None, False, 9, 3),
    peers.AskedIn(2, peers.Query(1, (CLAIM.key,))),
    peers.AskedIn(2, leases.Renew(1, LEASE_ID, 1_000, None)),
    leases.Renewed(1, True),
    leases.EndTerm(LEASE_ID, 1_000, BROKEN),
    leases.ForgottenTerms("jobs", 9),
]  # fmt: skip
UNIONS: dict[str, Any] = {
    "request": requests.Request,
    "gateway-message": gateways.ActForRequest,
    "answer": requests.Answer,
    "peer-message": peers.PeerMessage,
    "client-greeting": handshake.ClientHello | handshake.TokenHello,
    "peer-greeting": handshake.PeerOpening | handshake.PeerHello,
    "peer-reception": handshake.PeerReception,
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
        name: int(tag) for name, tag in re.findall(r"`([a-z-]+)`\s\((?:tag )?(\d+)\)", text)
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
