"""Input from sockets: garbage, half frames, floods, and a stop in the middle of them."""

import pytest
import trio

from decreed.registry.errors import BadRequest, Busy, IdentityRefused, Refused
from decreed.registry.paxos.messages import Commit
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.codec import encode
from decreed.registry.wire.frames import frame, pack
from decreed.registry.wire.handshake import (
    VERSION,
    ClientHello,
    DirectoryRefusal,
    PeerIdentity,
    Reception,
    Refusal,
)
from decreed.registry.wire.requests import (
    Cancel,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    ListRequest,
    Undecided,
    WaitRequest,
)

from ..support.greeted import hello_as
from ..support.live import PATIENCE_S, Cluster, live_cluster, live_config
from ..support.world import claim

pytestmark = pytest.mark.trio

HELLO = b"".join(pack([encode(ClientHello("decreed", VERSION, VERSION))]))
NESTED = b"\x81" * 5_000 + b"\x00"

GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a huge length": b"\xff\xff\xff\xff",
    "zeroes": bytes(64),
    "no CBOR": frame(b"\xff\xfe\xfd"),
    "deep nesting": frame(NESTED[:4_000]),
    "a tag": frame(b"\x81\xc1\x00"),
    "a regular expression": frame(b"\x81\xd8\x23\x64(a+)"),
    "an indefinite array": frame(b"\x9f\x9f"),
    "an array of a billion": frame(b"\x9a\x3b\x9a\xca\x00"),
    "a bignum": frame(b"\x81\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00"),
    "a map": frame(b"\xa1\x00\x00"),
    "nothing": frame(b""),
    "an empty batch": frame(b"\x80"),
    "an unknown message": frame(encode([[99, 1]])),
    "a request before the greeting": frame(encode([GetRequest(1, 60_000, Key("k"))])),
    "another magic": frame(encode([ClientHello("paxos", VERSION, VERSION)])),
}


async def still_serves(cluster: Cluster, key: str) -> None:
    client = await cluster.client("n1")
    async with client.stream:
        answer = await client.ask(ClaimRequest(1, 60_000, False, claim(key, claim_id=key.encode())))
        assert isinstance(answer, Decreed)


async def test_garbage_ends_that_connection_and_touches_nothing_else() -> None:
    async with live_cluster(await live_config(1)) as cluster:
        bystander = await cluster.client("n1")
        for name, data in GARBAGE.items():
            for before in (b"", HELLO):
                client = await cluster.raw("n1")
                async with client.stream:
                    if before and name in ("an empty batch", "a request before the greeting"):
                        continue  # legal once greeted
                    await client.stream.send_all(before + data)
                    with trio.fail_after(PATIENCE_S):
                        assert await client.ended(), name
        assert isinstance(await bystander.ask(GetRequest(1, 60_000, Key("k"))), Undecided)
        await still_serves(cluster, "after")


async def test_a_frame_may_be_cut_anywhere() -> None:
    async with live_cluster(await live_config(1)) as cluster:
        data = b"".join(pack([encode(ClaimRequest(7, 60_000, False, claim("k", b"cut")))]))
        client = await cluster.client("n1")
        for position in range(len(data)):
            await client.stream.send_all(data[:position])
            await trio.lowlevel.checkpoint()
            await client.stream.send_all(data[position:])
            answer = await client.hear()
            assert isinstance(answer, Decreed) and answer.id == 7
        for position in range(0, len(data), 5):
            half = await cluster.client("n1")
            await half.stream.send_all(data[:position])
            await half.stream.aclose()
        await still_serves(cluster, "after")


async def test_many_requests_are_answered_in_any_order_on_one_connection() -> None:
    async with live_cluster(await live_config(3)) as cluster:
        client = await cluster.client("n2")
        requests = [
            ClaimRequest(number, 60_000, False, claim(f"k{number}", claim_id=b"%d" % number))
            for number in range(500)
        ]
        await client.say(WaitRequest(1_000, 60_000, Key("k499")), *requests)
        answers = [await client.hear() for _ in range(501)]
        assert {answer.id for answer in answers} == {*range(500), 1_000}
        assert all(isinstance(answer, Decreed) for answer in answers)


@pytest.mark.parametrize(("delta", "kind"), [(-1, Decreed), (0, Decreed), (1, Failed)])
async def test_values_at_under_and_over_the_limit(delta: int, kind: type) -> None:
    config = await live_config(1, limits={"max_value_bytes": 100_000})
    async with live_cluster(config) as cluster:
        client = await cluster.client("n1")
        answer = await client.ask(
            ClaimRequest(1, 60_000, False, claim("k", b"x" * (100_000 + delta)))
        )
        assert isinstance(answer, kind)
        if isinstance(answer, Failed):
            assert answer.code == BadRequest.code
            assert "100000" in answer.message
        assert not isinstance(await client.ask(GetRequest(2, 60_000, Key("other"))), Failed)


async def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    async with live_cluster(await live_config(1)) as cluster:
        client = await cluster.client("n1")
        limit = cluster.config.limits.max_frame_bytes
        await client.stream.send_all((limit + 1).to_bytes(4, "big"))
        with trio.fail_after(PATIENCE_S):
            assert await client.ended()


async def test_one_connection_too_many_is_refused_as_busy() -> None:
    async with live_cluster(await live_config(1, limits={"max_connections": 8})) as cluster:
        clients = [await cluster.client("n1") for _ in range(8)]
        extra = await cluster.raw("n1")
        await extra.stream.send_all(HELLO)
        refusal = await extra.hear(Reception)
        assert isinstance(refusal, Refusal) and refusal.code == Busy.code
        await clients[0].stream.aclose()
        with trio.fail_after(PATIENCE_S):
            while True:
                again = await cluster.raw("n1")
                await again.stream.send_all(HELLO)
                if not isinstance(await again.hear(Reception), Refusal):
                    break
                await trio.sleep(0.01)


async def test_requests_beyond_the_bound_wait_for_their_turn() -> None:
    async with live_cluster(await live_config(1, limits={"max_in_flight": 4})) as cluster:
        client = await cluster.client("n1")
        waits = [WaitRequest(number, 60_000, Key(f"w{number}")) for number in range(4)]
        await client.say(*waits, GetRequest(99, 60_000, Key("k")))
        other = await cluster.client("n1")
        with trio.move_on_after(0.3) as patience:
            await client.hear()
        assert patience.cancelled_caught, "the fifth request is not even looked at"
        assert isinstance(await other.ask(ClaimRequest(1, 60_000, False, claim("w2"))), Decreed)
        assert {(await client.hear()).id, (await client.hear()).id} == {2, 99}


async def test_a_client_that_does_not_read_is_dropped_rather_than_buffered() -> None:
    limits = {"max_client_queue_bytes": 1024 * 1024}
    async with live_cluster(await live_config(1, limits=limits)) as cluster:
        client = await cluster.client("n1")
        await client.ask(ClaimRequest(1, 60_000, False, claim("big", b"x" * 1_000_000)))
        greedy = await cluster.client("n1")
        with trio.fail_after(PATIENCE_S), pytest.raises((trio.BrokenResourceError, EOFError)):
            for number in range(100):
                await greedy.say(GetRequest(number, 60_000, Key("big")))
            while True:
                await trio.sleep(0.02)
                await greedy.say(GetRequest(0, 60_000, Key("big")))
        await still_serves(cluster, "after")


async def test_a_client_of_another_version_is_refused_with_the_way_out() -> None:
    async with live_cluster(await live_config(1)) as cluster:
        client = await cluster.raw("n1")
        await client.say(ClientHello("decreed", 7, 9))
        refusal = await client.hear(Reception)
        assert isinstance(refusal, Refusal) and refusal.code == Refused.code
        assert "upgrade" in refusal.message


def stranger(config_digest: bytes, **changes: object) -> PeerIdentity:
    facts: dict[str, object] = {
        "cluster_id": "live-test",
        "digest": config_digest,
        "node": "n2",
        "disk_id": b"d" * 16,
        "incarnation": 9,
        "nonce": b"n" * 16,
        "feed_end": 0,
        "formation": None,
    }
    return PeerIdentity(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"cluster_id": "other"}, Refusal, "cluster other"),
        ({"node": "n9"}, Refusal, "not another member"),
        ({"node": "n1"}, Refusal, "not another member"),
        ({"digest": b"x" * 16}, Refusal, "quorum sizes"),
        ({"formation": b"f" * 16}, Refusal, "formation"),
        ({}, DirectoryRefusal, "stays out"),
    ],
)
async def test_a_directory_of_no_member_is_refused(
    changes: dict[str, object], kind: type, words: str
) -> None:
    config = await live_config(3)
    async with live_cluster(config) as cluster:
        client = await cluster.raw("n1")
        refusal = await hello_as(client, stranger(config.digest(), **changes))
        assert isinstance(refusal, Refusal | DirectoryRefusal) and type(refusal) is kind
        assert not isinstance(refusal, Refusal) or refusal.code == Refused.code
        assert words in refusal.message
        await still_serves(cluster, "after")


async def test_a_stop_answers_what_is_in_batch_and_then_ends() -> None:
    async with live_cluster(await live_config(3)) as cluster:
        client = await cluster.client("n1")
        requests = [
            ClaimRequest(number, 60_000, True, claim(f"k{number}", claim_id=b"%d" % number))
            for number in range(200)
        ]
        await client.say(*requests)
        first = await client.hear()
        cluster.stops[NodeId("n1")].set()
        answers = [first]
        with trio.fail_after(PATIENCE_S):
            while len(answers) < 200:
                answers.append(await client.hear())
            assert await client.ended()
        assert all(isinstance(answer, Decreed) for answer in answers)


async def test_a_stop_is_bounded_though_an_answer_never_comes() -> None:
    config = await live_config(3, timing={"drain_ms": 300})
    async with live_cluster(config) as cluster:
        for node in ("n2", "n3"):
            cluster.kill(NodeId(node))
        client = await cluster.client("n1")
        await client.say(ListRequest(1, 60_000, "", "", 10))
        cluster.stops[NodeId("n1")].set()
        with trio.fail_after(30):
            assert await client.ended()


async def test_a_killed_node_is_replaced_immediately_and_comes_back() -> None:
    async with live_cluster(await live_config(3)) as cluster:
        client = await cluster.client("n1")
        cluster.kill(NodeId("n2"))
        for number in range(20):
            with trio.fail_after(PATIENCE_S):
                request = ClaimRequest(number, 600_000, False, claim(f"k{number}"))
                assert isinstance(await client.ask(request), Decreed)
        await cluster.start(NodeId("n2"))
        with trio.fail_after(PATIENCE_S):
            while (await cluster.report("n2")).decrees < 20:
                await trio.sleep(0.01)


async def test_a_wiped_node_ends_with_the_reason_and_the_others_go_on() -> None:
    config = await live_config(3)
    async with live_cluster(config) as cluster:
        cluster.kill(NodeId("n2"))
        del cluster.disks[NodeId("n2")]
        with trio.fail_after(PATIENCE_S):
            with pytest.RaisesGroup(pytest.RaisesExc(IdentityRefused, match="wiped")):
                async with trio.open_nursery() as own:
                    shadow = Cluster(config, own)
                    await shadow.start(NodeId("n2"))
                    await trio.sleep_forever()
        await still_serves(cluster, "after")


async def test_cancelled_requests_free_their_room() -> None:
    async with live_cluster(await live_config(1, limits={"max_in_flight": 4})) as cluster:
        client = await cluster.client("n1")
        for number in range(0, 40, 4):
            waits = [WaitRequest(n, 60_000, Key("never")) for n in range(number, number + 4)]
            await client.say(*waits, *(Cancel(wait.id) for wait in waits))
            with trio.fail_after(PATIENCE_S):
                cancelled = {(await client.hear()).id for _ in waits}
            assert cancelled == {wait.id for wait in waits}
        assert isinstance(await client.ask(GetRequest(99, 60_000, Key("k"))), Undecided)


async def test_a_message_about_one_key_with_a_decree_for_another_ends_the_link() -> None:
    with pytest.raises(ValueError, match="carries a decree for"):
        Commit(Key("a"), Decree.of(claim("b"), Ballot(1, Process(NodeId("n1"), 1)), 0))
