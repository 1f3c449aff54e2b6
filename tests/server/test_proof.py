"""S05, S06: the proof of peers over real connections, against those who record, repeat and reflect."""

from collections.abc import AsyncIterator
from itertools import count, permutations

import pytest
import trio
from msgspec.structs import replace

from decreed.registry.cluster_secret import parse_secret, secret_text
from decreed.registry.errors import ProtocolError, Refused
from decreed.registry.identity import ANONYMOUS, Identity
from decreed.registry.server.connections import Connection
from decreed.registry.server.greeting import Greeter, PeerGreeting, PeerLine, ProvenBy, proven_by
from decreed.registry.types import NodeId
from decreed.registry.wire.codec import encode
from decreed.registry.wire.frames import pack
from decreed.registry.wire.handshake import (
    MAGIC,
    VERSION,
    ClientHello,
    PeerHello,
    PeerIdentity,
    PeerOpened,
    PeerOpening,
    PeerRecall,
    PeerReception,
    Refusal,
    Sealed,
)
from decreed.registry.wire.proof import Unproven, answered, checked

from ..support.greeted import opening
from ..support.live import SECRET, RawClient
from .test_frames import tcp_pair

pytestmark = pytest.mark.trio
N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
OTHER = parse_secret(secret_text(b"o" * 32).encode())
SHOWN = PeerIdentity("live-test", b"x" * 16, N2, b"d" * 16, 9, b"n" * 16, 0, None)
HELLO = PeerHello(MAGIC, VERSION, VERSION, SHOWN, 0, None)
FRAME_BYTES = 8 * 1024 * 1024


@pytest.fixture
async def ends() -> AsyncIterator[tuple[RawClient, Connection]]:
    """The end of a stranger, and the connection of a node."""
    theirs, ours = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in tcp_pair())
    yield RawClient(theirs), Connection(ours, FRAME_BYTES)
    theirs.socket.close()
    ours.socket.close()


def greeter(name: NodeId = N1, secret: object = SECRET) -> Greeter:
    return Greeter(name, "live-test", secret)  # type: ignore[arg-type]


async def answers(node: Greeter, connection: Connection, heard: list[object]) -> None:
    """What a node makes of a connection; an error that ends it among them."""
    try:
        heard.append(await node.answer(connection))
    except (ProtocolError, Refused) as error:
        heard.append(error)
        await connection.stream.aclose()


async def dials(node: Greeter, connection: Connection, heard: list[object]) -> None:
    try:
        heard.append(await node.dial(connection, N2))
    except ProtocolError as error:
        heard.append(error)
        await connection.stream.aclose()


async def test_S05_both_sides_prove_the_secret_and_then_talk(
    ends: tuple[RawClient, Connection],
) -> None:
    stranger, ours = ends
    theirs, heard = Connection(stranger.stream, FRAME_BYTES), list[object]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answers, greeter(N1), ours, heard)
        line = await greeter(N2).dial(theirs, N1)
        assert isinstance(line, PeerLine) and line.node == N1
        assert theirs.identity == Identity("node", "n1") and str(theirs.identity) == "node/n1"
        await line.say(HELLO)
    [greeting] = heard
    assert isinstance(greeting, PeerGreeting) and greeting.hello == HELLO
    assert ours.identity == Identity("node", "n2")
    await greeting.line.say(PeerRecall(3))
    assert await line.hear(PeerReception) == PeerRecall(3)
    with pytest.raises(ProtocolError, match="node/n2, and says that it is node/n3"):
        ours.greeted_as(Identity("node", "n3"))


@pytest.mark.parametrize("bad", ["another secret", "a changed hello", "a code of zeros", "plain"])
async def test_S05_a_hello_without_a_right_code_is_not_heard(
    ends: tuple[RawClient, Connection], bad: str
) -> None:
    stranger, ours = ends
    heard = list[object]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answers, greeter(N1), ours, heard)
        said = opening(SHOWN, N1)
        await stranger.say(said)
        opened = await stranger.hear(PeerOpened)
        with pytest.raises(Unproven, match="does not have the secret"):
            checked(OTHER, said, opened)
        right = checked(SECRET, said, opened).seal(HELLO)
        _, wrong = answered(OTHER, said, N1, opened.nonce)
        later = encode(replace(HELLO, recall=7))
        sent = {
            "another secret": wrong.seal(HELLO),
            "a changed hello": Sealed(later, right.proof),
            "a code of zeros": Sealed(right.message, bytes(32)),
            "plain": HELLO,
        }
        await stranger.say(sent[bad])
    [error] = heard
    assert isinstance(error, ProtocolError)
    assert bad == "plain" or isinstance(error, Unproven)
    assert ours.identity == ANONYMOUS


async def test_S05_what_was_recorded_of_a_greeting_opens_no_other_one(
    ends: tuple[RawClient, Connection],
) -> None:
    stranger, ours = ends
    said = opening(SHOWN, N1)
    earlier = Connection(stranger.stream, FRAME_BYTES)
    recorded: list[Sealed] = []
    for connection in (ours, earlier):
        raw = RawClient((earlier if connection is ours else ours).stream)
        heard = list[object]()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answers, greeter(N1), connection, heard)
            await raw.say(said)
            opened = await raw.hear(PeerOpened)
            recorded = recorded or [checked(SECRET, said, opened).seal(HELLO)]
            await raw.say(*recorded)
        if connection is ours:
            assert isinstance(heard[0], PeerGreeting), "the first time it is the peer that says it"
    assert isinstance(heard[0], Unproven)


async def test_S05_what_was_recorded_of_an_answer_passes_for_no_peer(
    ends: tuple[RawClient, Connection],
) -> None:
    stranger, ours = ends
    node, recorded, heard = greeter(N1), list[PeerOpened](), list[object]()
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dials, node, ours, heard)
            said = await stranger.hear(PeerOpening)
            recorded = recorded or [answered(SECRET, said, N2, bytes(32))[0]]
            await stranger.say(recorded[0])
    assert isinstance(heard[0], PeerLine), "the first time it is the peer that says it"
    assert isinstance(heard[1], Unproven)


async def test_S05_an_opening_that_is_reflected_to_its_node_passes_for_no_peer(
    ends: tuple[RawClient, Connection],
) -> None:
    """A stranger without the secret has the node itself make the code for its own opening."""
    stranger, ours = ends
    other, back = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in tcp_pair())
    node, heard, reflected = greeter(N1), list[object](), list[object]()
    async with other, back, trio.open_nursery() as nursery:
        nursery.start_soon(dials, node, ours, heard)
        nursery.start_soon(answers, node, Connection(back, FRAME_BYTES), reflected)
        await other.send_all(await stranger.stream.receive_some(4_096))
        await stranger.stream.send_all(await other.receive_some(4_096))
        assert await stranger.ended(), "it says no hello"
        await other.send_eof()
    assert isinstance(heard[0], ProtocolError) and "as this one is" in str(heard[0])


async def test_S05_a_hello_that_is_sent_back_is_no_answer() -> None:
    said = opening(SHOWN, N1)
    opened, answering = answered(SECRET, said, N1, bytes(32))
    dialling = checked(SECRET, said, opened)
    hello = dialling.seal(HELLO)
    assert answering.open(hello, PeerHello) == HELLO
    with pytest.raises(Unproven):
        dialling.open(hello, PeerHello | PeerReception)
    with pytest.raises(Unproven):
        answering.open(hello, PeerHello)
    assert answering.open(dialling.seal(HELLO), PeerHello) == HELLO


async def test_S05_a_node_proves_itself_to_no_other_opening_with_the_same_code() -> None:
    said = opening(SHOWN, N1, bytes(32))
    opened, _ = answered(SECRET, said, N1, bytes(32))
    for other in (
        replace(said, cluster_id="another"),
        replace(said, node=N3),
        replace(said, to=N3),
        replace(said, to=None),
        replace(said, nonce=b"1" * 32),
        replace(said, highest_version=VERSION + 1),
    ):
        with pytest.raises(Unproven):
            checked(SECRET, other, opened)
    for changed in (replace(opened, node=N3), replace(opened, nonce=b"1" * 32)):
        with pytest.raises(Unproven):
            checked(SECRET, said, changed)


async def test_S05_a_nonce_is_used_once(ends: tuple[RawClient, Connection]) -> None:
    stranger, ours = ends
    drawn = (bytes([number]) * 32 for number in count(1))
    node = Greeter(N1, "live-test", SECRET, lambda size: next(drawn)[:size])
    nonces: list[bytes] = []
    for _ in range(2):
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node._answer, ours, opening(SHOWN, N1))
                opened: PeerOpened = await stranger.hear(PeerOpened)
                nonces.append(opened.nonce)
    assert nonces == [b"\x01" * 32, b"\x02" * 32]
    assert len({Greeter(N1, "c", SECRET)._fresh(32) for _ in range(9)}) == 9


async def test_S05_a_hello_of_another_node_than_the_one_that_is_proven_is_not_heard(
    ends: tuple[RawClient, Connection],
) -> None:
    stranger, ours = ends
    heard = list[object]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answers, greeter(N1), ours, heard)
        said = opening(SHOWN, N1)
        await stranger.say(said)
        seals = checked(SECRET, said, await stranger.hear(PeerOpened))
        await stranger.say(seals.seal(replace(HELLO, identity=replace(SHOWN, node=N3))))
    assert "n2 is proven, and its hello says n3" in str(heard[0])


async def test_S05_before_the_proof_no_large_frame_is_read(
    ends: tuple[RawClient, Connection],
) -> None:
    stranger, ours = ends
    heard = list[object]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answers, greeter(N1), ours, heard)
        await stranger.say(opening(SHOWN, N1))
        await stranger.hear(PeerOpened)
        await stranger.stream.send_all((1024 * 1024).to_bytes(4, "big") + bytes(1_000))
    assert isinstance(heard[0], ProtocolError) and "1048576" in str(heard[0])


async def test_S05_a_node_without_a_secret_has_no_peers(
    ends: tuple[RawClient, Connection],
) -> None:
    stranger, ours = ends
    heard = list[object]()
    with pytest.raises(Unproven, match=r"give it a copy of the cluster\.secret"):
        await greeter(N1, None).dial(ours, N2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answers, greeter(N1, None), ours, heard)
        await stranger.say(opening(SHOWN, N1))
    assert isinstance(heard[0], Refused) and "cluster.secret" in str(heard[0])


async def test_a_node_of_an_earlier_version_is_told_to_stop_all_and_start_all(
    ends: tuple[RawClient, Connection],
) -> None:
    stranger, ours = ends
    heard = list[object]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answers, greeter(N1), ours, heard)
        await stranger.say(HELLO)
    assert isinstance(heard[0], Refused) and "stop all nodes" in str(heard[0])


async def test_S06_a_refusal_of_the_opening_is_only_a_word(
    ends: tuple[RawClient, Connection],
) -> None:
    stranger, ours = ends
    heard = list[object]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dials, greeter(N1), ours, heard)
        await stranger.stream.receive_some(4_096)
        await stranger.say(Refusal(12, "go away"))
    assert heard == [Refusal(12, "go away")] and ours.identity == ANONYMOUS


async def test_while_the_secret_is_changed_nodes_with_either_meet() -> None:
    said = opening(SHOWN, N1)
    old, new = b"01" * 32, b"02" * 32
    alone, before, after = (
        parse_secret(b"\n".join(lines)) for lines in ([old], [old, new], [new, old])
    )
    for answering, dialling in permutations((alone, before, after), 2):
        if (answering, dialling) == (after, alone):
            continue
        opened, heard = answered(answering, said, N1, bytes(32))
        assert heard.open(checked(dialling, said, opened).seal(HELLO), PeerHello) == HELLO
    opened, _ = answered(after, said, N1, bytes(32))
    with pytest.raises(Unproven):
        checked(alone, said, opened)


# -- certificates


async def test_a_certificate_takes_the_place_of_the_secret(
    ends: tuple[RawClient, Connection],
) -> None:
    stranger, ours = ends
    assert proven_by(ours) is ProvenBy.SECRET
    ours.certified = Identity("node", "n2")
    assert proven_by(ours) is ProvenBy.CERTIFICATE
    heard = list[object]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answers, greeter(N1, None), ours, heard)
        await stranger.say(HELLO)
    [greeting] = heard
    assert isinstance(greeting, PeerGreeting) and greeting.hello == HELLO
    assert ours.identity == Identity("node", "n2")
    await greeting.line.say(PeerRecall(3))
    assert await stranger.hear(PeerReception) == PeerRecall(3)


@pytest.mark.parametrize("certified", [Identity("node", "n3"), Identity("client", "n2")])
async def test_a_certificate_of_another_node_or_of_a_client_is_no_peers(
    ends: tuple[RawClient, Connection], certified: Identity
) -> None:
    stranger, ours = ends
    ours.certified = certified
    heard = list[object]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answers, greeter(N1), ours, heard)
        await stranger.say(HELLO)
    assert isinstance(heard[0], ProtocolError)
    dialled = Connection(stranger.stream, FRAME_BYTES)
    dialled.certified = certified
    with pytest.raises(ProtocolError):
        await greeter(N1).dial(dialled, N2)


async def test_a_client_without_a_certificate_is_anonymous(
    ends: tuple[RawClient, Connection],
) -> None:
    stranger, ours = ends
    for frame in pack([encode(ClientHello(MAGIC, VERSION, VERSION))]):
        await stranger.stream.send_all(frame)
    assert isinstance(await greeter().answer(ours), ClientHello)
    assert ours.identity == ANONYMOUS
