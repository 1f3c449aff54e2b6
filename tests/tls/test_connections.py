"""S02: the bytes of a connection with TLS, and the bounds of its handshake. Sockets on loopback."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import pytest
import trio
import trio.testing

from decreed.registry.errors import ProtocolError
from decreed.registry.server import connections
from decreed.registry.server.connections import Connection
from decreed.registry.server.handshakes import PER_S, Handshakes
from decreed.registry.server.securing import Securing
from decreed.registry.server.sockets import Sockets
from decreed.registry.tls.contexts import TlsFiles
from decreed.registry.tls.session import Session
from decreed.registry.wire.codec import encode
from decreed.registry.wire.frames import pack
from decreed.registry.wire.requests import ClientPing, Request

from ..support.certificates import CLUSTER, Authority
from ..support.live import PATIENCE_S
from ..support.secured import as_client, credentials, pair

pytestmark = pytest.mark.trio


class Kept:
    """Takes all messages."""

    def __init__(self) -> None:
        self.messages: list[object] = []

    def take(self, messages: Sequence[object]) -> Sequence[object]:
        self.messages += messages
        return ()

    async def room(self, message: object) -> None:
        raise AssertionError("there is always room")


class Wire(NamedTuple):
    """A connection after its handshake: a node's side, and a stranger's hands on the other."""

    node: Connection
    stream: trio.SocketStream
    session: Session

    async def read(self) -> list[object]:
        """What the node reads until the connection ends."""
        kept = Kept()
        with Sockets() as sockets, trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._turns, sockets)
                try:
                    await self.node.read(Request, kept, sockets)
                finally:
                    nursery.cancel_scope.cancel()
        return kept.messages

    async def _turns(self, sockets: Sockets) -> None:
        while True:
            await sockets.wait()
            sockets.read()
            await trio.lowlevel.checkpoint()


async def wire(authority: Authority) -> Wire:
    ours, theirs = await pair()
    session = Session(as_client(TlsFiles(ca=authority.ca)), "dials")
    accepting = credentials(authority, "n1").contexts.accepting
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.secure, Session(accepting, "accepts"))
        session.handshake()
        while not session.shaken:
            await ours.stream.send_all(session.owed())
            session.handshake(bytes(await ours.stream.receive_some(1 << 16)))
        await ours.stream.send_all(session.owed())
    return Wire(theirs, ours.stream, session)


[PING] = pack([encode(ClientPing(7))])


@pytest.mark.parametrize("rest", [b"", PING[:3]])
@pytest.mark.parametrize("says_end", [False, True])
async def test_S02_a_connection_that_is_cut_within_a_frame_is_broken_and_not_ended(
    authority: Authority, rest: bytes, says_end: bool
) -> None:
    wired = await wire(authority)
    async with wired.node:
        end = wired.session.seal(PING + rest) + (wired.session.close() if says_end else b"")
        await wired.stream.send_all(end)
        await wired.stream.aclose()
        if rest and not says_end:
            with pytest.raises(BaseExceptionGroup) as met:
                await wired.read()
            assert met.group_contains(trio.BrokenResourceError, match="within a frame")
        else:
            assert await wired.read() == [ClientPing(7)]


async def test_S02_records_of_one_byte_are_read_as_any_others(authority: Authority) -> None:
    """Each byte of three requests comes in a record of its own, many of them in one read."""
    wired = await wire(authority)
    async with wired.node, trio.open_nursery() as nursery:
        records = [wired.session.seal(bytes([byte])) for byte in 3 * PING]
        assert len(records) == 3 * len(PING)
        nursery.start_soon(wired.stream.send_all, b"".join(records) + wired.session.close())
        assert await wired.read() == 3 * [ClientPing(7)]
        await wired.stream.aclose()


async def test_s36_nothing_is_taken_from_a_connection_that_is_cut_nor_sent_on_it(
    authority: Authority,
) -> None:
    wired, kept = await wire(authority), Kept()
    async with wired.node:
        wired.node._feed(wired.session.seal(PING))
        await wired.stream.send_all(wired.session.seal(PING))
        wired.node.cut()
        assert not wired.node._hand_on(Request, kept)
        assert not wired.node._read_at_once(Request, kept)
        assert wired.node.send_some(b"answer") == 0
        with Sockets() as sockets:
            await wired.node.read(Request, kept, sockets)
        raise AssertionError("it has ended")
    assert kept.messages == []
    assert wired.session.open(bytes(await wired.stream.receive_some(1 << 16))) == b""
    await wired.stream.aclose()


async def test_S05_what_tls_owes_waits_for_the_rest_of_what_is_sealed_already(
    authority: Authority,
) -> None:
    """Records have numbers: one that overtakes another breaks the session."""
    wired = await wire(authority)
    data, got = bytes(8 << 20), bytearray()
    async with wired.node:
        at = wired.node.send_some(data)
        secured = wired.node._secured
        assert at < len(data) and secured is not None and secured._sealed
        owed = b"as an answer to a key update"
        secured._session._object.write(owed)
        secured.open(b"")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wired.node.send_all, data[at:])
            while len(got) < len(data) + len(owed):
                got += wired.session.open(bytes(await wired.stream.receive_some(1 << 18)))
        assert got.replace(owed, b"", 1) == data and owed in got
        await wired.stream.aclose()


async def test_S03_what_came_behind_the_handshake_is_heard_without_another_byte(
    authority: Authority,
) -> None:
    """A client that speaks first sends its greeting with the end of its handshake."""
    ours, theirs = await pair()
    session = Session(as_client(TlsFiles(ca=authority.ca)), "dials")
    accepting = credentials(authority, "n1").contexts.accepting
    async with ours, theirs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(theirs.secure, Session(accepting, "accepts"))
            session.handshake()
            await ours.stream.send_all(session.owed())
            while not session.shaken:
                session.handshake(bytes(await ours.stream.receive_some(1 << 16)))
            await ours.stream.send_all(session.owed() + session.seal(PING))
        with trio.fail_after(PATIENCE_S):
            assert await theirs.greeting(ClientPing) == ClientPing(7)


async def test_S02_close_notify_ends_a_connection_whose_socket_stays_open(
    authority: Authority,
) -> None:
    wired = await wire(authority)
    async with wired.node:
        await wired.stream.send_all(wired.session.seal(PING) + wired.session.close())
        assert await wired.read() == [ClientPing(7)]
        await wired.stream.aclose()


async def test_S02_half_a_record_has_the_time_of_half_a_frame(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired = await wire(authority)
    monkeypatch.setattr(connections, "FRAME_SECONDS", 0.01)
    async with wired.node:
        await wired.stream.send_all(wired.session.seal(PING) + wired.session.seal(PING)[:-1])
        with pytest.raises(BaseExceptionGroup) as met:
            await wired.read()
        assert met.group_contains(ProtocolError, match="did not end for")
        await wired.stream.aclose()


async def test_an_open_connection_ends_when_its_certificate_expires(
    authority: Authority,
) -> None:
    wired = await wire(authority)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)  # what goes on beside it is not ended
        async with wired.node:
            wired.node.go_by({"notAfter": "Jan  5 09:34:43 2018 GMT"})
            await trio.sleep_forever()
        assert not nursery.cancel_scope.cancel_called
        assert wired.session.open(bytes(await wired.stream.receive_some(1 << 16))) == b""
        assert wired.session.ended
        await wired.stream.aclose()
        nursery.cancel_scope.cancel()


async def test_what_the_system_does_not_take_is_sent_once_and_in_order(
    authority: Authority,
) -> None:
    """By `send_some` and `send_all` in turn, as a queue does, while the other side reads slowly."""
    wired = await wire(authority)
    data = bytes(range(256)) * 20_000
    got = bytearray()

    async def send() -> None:
        at = wired.node.send_some(data)
        assert at < len(data)
        while at < len(data) // 2:
            taken = wired.node.send_some(data[at:])
            at += taken
            if not taken:
                await trio.lowlevel.wait_writable(wired.node.stream.socket)
        await wired.node.send_all(data[at:])

    async with wired.node:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            while len(got) < len(data):
                got += wired.session.open(bytes(await wired.stream.receive_some(30_000)))
        assert got == data
        await wired.stream.aclose()


async def test_handshakes_are_bounded_and_the_oldest_goes_first() -> None:
    handshakes, ended = Handshakes(8), list[str]()

    async def hold(name: str, host: str) -> None:
        try:
            with handshakes.one(host):
                await trio.sleep_forever()
        except ProtocolError:
            ended.append(name)

    async with trio.open_nursery() as nursery:
        for number in range(5):  # an address has two at a time
            nursery.start_soon(hold, f"a{number}", "10.0.0.1")
            await trio.testing.wait_all_tasks_blocked()
        assert ended == ["a0", "a1", "a2"] and len(handshakes) == 2
        for number in range(7):
            nursery.start_soon(hold, f"b{number}", f"10.0.1.{number}")
            await trio.testing.wait_all_tasks_blocked()
        assert ended[3:] == ["a3"] and len(handshakes) == 8
        nursery.cancel_scope.cancel()
    assert len(handshakes) == 0


@pytest.mark.parametrize("hosts", ["10.0.0.1", "2001:db8::{:x}"])
async def test_S02_many_handshakes_wait_and_begin_one_from_each_address_in_turn(
    hosts: str, autojump_clock: trio.testing.MockClock
) -> None:
    """One machine may have all addresses of a network of IPv6."""
    handshakes, begun = Handshakes(), list[tuple[str, float]]()

    async def begin(host: str) -> None:
        await handshakes.turn(host)
        begun.append((host, trio.current_time()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(handshakes.keep_pace)
        async with trio.open_nursery() as many:
            for number in range(500):
                many.start_soon(begin, hosts.format(number))
            await trio.testing.wait_all_tasks_blocked(0.001)
            at_once = len(begun)
            many.start_soon(begin, "10.0.0.2")
        nursery.cancel_scope.cancel()
    assert 1 <= at_once <= PER_S / 5
    place = [host for host, _ in begun].index("10.0.0.2")
    assert place <= at_once + 2, "it waits for one of the others, not for all"
    seconds = begun[-1][1] - begun[0][1]
    assert 500 - at_once - 1 <= PER_S * seconds <= 500 + 2, "and they begin at the rate"


async def test_who_leaves_the_line_of_handshakes_is_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    handshakes = Handshakes()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(handshakes.keep_pace)
        for _ in range(50):
            with trio.move_on_after(0.001):
                while True:
                    await handshakes.turn("10.0.0.1")
                    await trio.lowlevel.checkpoint()
        await trio.sleep(1)
        began = trio.current_time()
        await handshakes.turn("10.0.0.1")
        assert trio.current_time() == began, "nobody is left in the line"
        nursery.cancel_scope.cancel()


async def test_a_handshake_that_never_ends_is_too_large(authority: Authority) -> None:
    ours, theirs = await pair()
    securing = Securing(CLUSTER, "n1", credentials(authority, "n1"))
    async with ours, theirs, trio.open_nursery() as nursery:

        async def pour() -> None:
            record = b"\x16\x03\x01\x40\x00"  # a hello of 16 MB, in records of 16 KiB
            with contextlib.suppress(trio.BrokenResourceError):
                await ours.stream.send_all(record + b"\x01\xff\xff\xff" + bytes(16_380))
                while True:
                    await ours.stream.send_all(record + bytes(16_384))

        nursery.start_soon(pour)
        with pytest.raises(ProtocolError):
            await securing.accept(theirs)
        nursery.cancel_scope.cancel()
