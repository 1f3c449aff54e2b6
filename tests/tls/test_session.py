"""S02: the bytes of one TLS connection, both sides in memory."""

import random
import shutil
import ssl
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decreed.registry.errors import ConfigError, ProtocolError
from decreed.registry.tls.contexts import NodeContexts, TlsFiles, client_context, node_contexts
from decreed.registry.tls.records import RecordEdge
from decreed.registry.tls.session import MOST_OWED_BYTES, Session

from ..support.certificates import CLUSTER, EXPIRED, NOT_YET, Authority


@cache
def _contexts() -> NodeContexts:
    """The same for all examples."""
    authority = Authority(Path(mkdtemp()))
    try:
        return node_contexts(authority.node("n1"), CLUSTER, "n1")
    finally:
        shutil.rmtree(authority.ca.parent)


@pytest.fixture(scope="module")
def node(authority: Authority) -> NodeContexts:
    return node_contexts(authority.node("n1"), CLUSTER, "n1")


def shaken(node: NodeContexts) -> tuple[Session, Session]:
    """Two sides after their handshake: the one that dialled, and the one that accepted."""
    ours, theirs = Session(node.dialling, "dials"), Session(node.accepting, "accepts")
    shake(ours, theirs)
    assert ours.shaken and theirs.shaken
    return ours, theirs


def shake(ours: Session, theirs: Session) -> None:
    for _ in range(4):
        if not ours.shaken:
            ours.handshake(theirs.owed())
        if not theirs.shaken:
            theirs.handshake(ours.owed())


def test_bytes_come_out_as_they_went_in_wherever_the_stream_is_cut(node: NodeContexts) -> None:
    chance = random.Random(5)
    ours, theirs = shaken(node)
    sent = [chance.randbytes(size) for size in (1, 0, 17, 16_384, 16_385, 100_000)]
    stream = b"".join(map(ours.seal, sent))
    edge, received = RecordEdge(), b""
    while stream:
        step = chance.choice((1, 2, 5, 700, 30_000))
        received += theirs.open(stream[:step])
        edge.feed(stream[:step])
        stream = stream[step:]
        assert theirs.inside == edge.inside
    assert received == b"".join(sent)
    assert not theirs.inside


@given(
    first=st.sampled_from(["dials", "accepts"]),
    sizes=st.lists(st.sampled_from([0, 1, 2, 300, 16_384, 16_385, 40_000]), max_size=6),
    cuts=st.lists(st.integers(1, 20_000), max_size=30),
    back=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_S02_records_may_be_cut_at_any_byte_in_both_directions(
    first: str, sizes: list[int], cuts: list[int], back: bool
) -> None:
    ours, theirs = shaken(_contexts())
    sides = [(ours, theirs), (theirs, ours)]
    if first == "accepts":
        sides.reverse()
    for speaks, hears in sides[: 1 + back]:
        sent = [bytes([number]) * size for number, size in enumerate(sizes)]
        stream = b"".join(map(speaks.seal, sent)) + speaks.close()
        heard = b""
        for cut in [*cuts, len(stream)]:
            piece, stream = stream[:cut], stream[cut:]
            if piece:
                heard += hears.open(piece)
            assert hears.open() == b"", "nothing that could be read is left inside"
            assert not (hears.ended and stream)
        heard += hears.open(stream) if stream else b""
        assert heard == b"".join(sent)
        assert hears.ended and not hears.inside


@given(at=st.integers(0, 5_000), back=st.booleans())
@settings(deadline=None, max_examples=40)
def test_S02_a_stream_that_is_cut_off_anywhere_gives_what_was_whole_and_has_not_ended(
    at: int, back: bool
) -> None:
    ours, theirs = shaken(_contexts())
    speaks, hears = (theirs, ours) if back else (ours, theirs)
    records = [speaks.seal(bytes([number]) * 400) for number in range(10)]
    stream = b"".join(records)[:at]
    heard = hears.open(stream) if stream else b""
    whole = sum(len(b"".join(records[: number + 1])) <= at for number in range(10))
    assert heard == b"".join(bytes([number]) * 400 for number in range(whole))
    assert not hears.ended


@given(at=st.integers(1, 4_000))
@settings(deadline=None, max_examples=40)
def test_S02_a_handshake_may_come_cut_at_any_byte(at: int) -> None:
    contexts = _contexts()
    ours, theirs = Session(contexts.dialling, "dials"), Session(contexts.accepting, "accepts")
    ours.handshake()
    for _ in range(4):
        for speaks, hears in ((ours, theirs), (theirs, ours)):
            flight = speaks.owed()
            for piece in (flight[:at], flight[at:]):
                if piece and not hears.shaken:
                    hears.handshake(piece)
    assert ours.shaken and theirs.shaken


def test_half_a_record_is_inside_until_its_last_byte(node: NodeContexts) -> None:
    ours, theirs = shaken(node)
    record = ours.seal(b"half")
    for at in range(1, len(record)):
        assert theirs.open(record[at - 1 : at]) == b"" and theirs.inside
    assert theirs.open(record[-1:]) == b"half"
    assert not theirs.inside


def test_what_came_behind_the_handshake_is_not_left_inside(node: NodeContexts) -> None:
    ours, theirs = Session(node.dialling, "dials"), Session(node.accepting, "accepts")
    ours.handshake()
    theirs.handshake(ours.owed())
    assert ours.handshake(theirs.owed())
    assert theirs.handshake(ours.seal(b"at once"))
    assert theirs.open() == b"at once"


def test_only_close_notify_ends_a_session(node: NodeContexts) -> None:
    ours, theirs = shaken(node)
    assert theirs.open(ours.seal(b"last") + ours.close()) == b"last"
    assert theirs.ended and not ours.ended
    assert theirs.open(b"more, which nobody reads") == b""


def test_a_record_that_was_changed_is_a_broken_protocol(node: NodeContexts) -> None:
    ours, theirs = shaken(node)
    record = bytearray(ours.seal(b"value"))
    record[-1] ^= 1
    with pytest.raises(ProtocolError, match="TLS failed"):
        theirs.open(bytes(record))
    assert theirs.owed()  # the alert


def test_S05_who_lets_answers_pile_up_is_cut_off(node: NodeContexts) -> None:
    ours, theirs = shaken(node)
    theirs._outgoing.write(bytes(MOST_OWED_BYTES + 1))  # as answers to key updates do
    with pytest.raises(ProtocolError, match="owe more than it reads"):
        theirs.open(ours.seal(b"more"))


def test_no_other_protocol_gets_in(node: NodeContexts, authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority.ca)
    context.set_alpn_protocols(["http/1.1"])
    with pytest.raises(ProtocolError, match="ALPN"):
        shake(Session(context, "dials"), Session(node.accepting, "accepts"))


def test_the_older_version_needs_a_setting(node: NodeContexts, authority: Authority) -> None:
    files = authority.node("n1", name="older")
    old = client_context(files, check_host=False)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ProtocolError):
        shake(Session(old, "dials"), Session(node.accepting, "accepts"))
    both = node_contexts(files._replace(lowest="1.2"), CLUSTER, "n1")
    ours, theirs = Session(old, "dials"), Session(both.accepting, "accepts")
    shake(ours, theirs)
    assert theirs.open(ours.seal(b"by 1.2")) == b"by 1.2"


def test_a_client_needs_no_certificate_unless_it_is_told(authority: Authority) -> None:
    files, bare = authority.node("n1", name="free"), TlsFiles(ca=authority.ca)
    for must in (False, True):
        node = node_contexts(files, CLUSTER, "n1", clients_must=must)
        ours = Session(client_context(bare), "dials", "127.0.0.1")
        theirs = Session(node.accepting, "accepts")
        if must:
            with pytest.raises(ProtocolError):
                shake(ours, theirs)
            with pytest.raises(ProtocolError, match="wants a certificate"):
                ours.open(theirs.owed())  # TLS 1.3 tells the client late
        else:
            shake(ours, theirs)
            assert theirs.certificate is None and ours.certificate is not None


def test_a_client_checks_the_host(node: NodeContexts, authority: Authority) -> None:
    context = client_context(TlsFiles(ca=authority.ca))
    with pytest.raises(ProtocolError, match=r"not valid for 'db\.example'"):
        shake(Session(context, "dials", "db.example"), Session(node.accepting, "accepts"))


@pytest.mark.parametrize(
    ("valid", "said"), [(EXPIRED, "has expired"), (NOT_YET, "is not yet valid")]
)
def test_certificates_count_in_their_time_alone(
    authority: Authority, valid: object, said: str
) -> None:
    assert isinstance(valid, type(EXPIRED))
    with pytest.raises(ConfigError, match=said):
        node_contexts(authority.node("n1", valid=valid, name="late"), CLUSTER, "n1")


def test_a_node_does_not_start_with_what_its_peers_would_refuse(
    authority: Authority, tmp_path: Path
) -> None:
    good, other = authority.node("n1", name="good"), Authority(tmp_path, "other")
    wrong = {
        "no CA of the bundle": good._replace(ca=other.ca),
        "the key is not that": good._replace(key=authority.node("n2").key),
        "is of node/n2, not of node/n1": authority.node("n2"),
        "is of cluster 'other'": authority.node("n1", cluster="other", name="far"),
        "names nobody": authority.issue("bare"),
        "No such file": good._replace(certificate=tmp_path / "none.crt"),
        "missing": good._replace(key=None),
        "no CA certificates": good._replace(ca=good.key),
        "not a certificate and its key": good._replace(certificate=good.key),
        "purpose": authority.client("n1")._replace(),
    }
    for fault, files in wrong.items():
        with pytest.raises(ConfigError, match=fault):
            node_contexts(files, CLUSTER, "n1")


def test_the_edges_of_records_are_the_same_wherever_the_stream_is_cut() -> None:
    bodies = [b"", b"a", b"b" * 300, b"c" * 16_384]
    records = [bytes([23, 3, 3, *divmod(len(body), 256)]) + body for body in bodies]
    stream = b"".join(records)
    ends = {sum(map(len, records[: count + 1])) for count in range(len(records))} | {0}
    for cut in range(0, 700):
        edge = RecordEdge()
        edge.feed(stream[:cut])
        assert edge.inside == (cut not in ends), cut
        edge.feed(stream[cut:])
        assert not edge.inside
