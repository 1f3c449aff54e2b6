"""Claims: the nodes they go to, what happens when nodes fail, and how they end."""

import anyio
import pytest

from decreed.client import Claimed, Json, Outcome, connect
from decreed.registry.errors import (
    BadRequest,
    ClaimIdReused,
    Damaged,
    Disputed,
    NotFormed,
    NotMember,
    OutcomeUnknown,
    SeriesGap,
    StorageFailed,
    Unreachable,
)
from decreed.registry.types import Claim
from decreed.registry.wire.requests import (
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    LatestRequest,
)

from ..fakes import AsUsual, FakeNode, Garbage, HangUp, Silence, cluster_of, decree_of

pytestmark = pytest.mark.anyio
KEY = "prod/db/region"


async def test_a_claim_goes_to_the_home_only() -> None:
    async with cluster_of(3) as cluster, connect(cluster.endpoints[0]) as registry:
        for number in range(10):
            key = f"key{number}"
            claimed = await registry.claim(key, "value")
            assert claimed.won and claimed.decree.text == "value"
            asked = [n.name for n in cluster.nodes if any(r.claim.key == key for r in n.requests)]
            assert asked == [cluster.order(key)[0].name]


async def test_a_claim_of_a_frozen_key_ends_as_same_lost_or_id_reused() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.decide(decree_of("k", b"taken"))
        assert (await registry.claim("k", b"taken")).outcome is Outcome.SAME
        assert (await registry.claim("k", b"mine")).outcome is Outcome.LOST
        with pytest.raises(ClaimIdReused):
            await registry.claim("k", b"mine", claim_id=b"other")


async def test_a_lost_claim_shows_the_winner_without_the_cache() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints, cache_decrees=0) as registry:
        cluster.decide(decree_of("k", b"taken"))
        claimed = await registry.claim("k", b"mine")
        assert (claimed.won, claimed.decree.value) == (False, b"taken")
        assert claimed.slot is None
        with pytest.raises(ClaimIdReused):
            await registry.claim("k", b"mine", claim_id="other")


async def test_values_and_their_types() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints, claimant="me") as registry:
        text = (await registry.claim("text", "über")).decree
        assert (text.value, text.content_type) == ("über".encode(), "text/plain; charset=utf-8")
        data = (await registry.claim("bytes", b"\0", note="why", claimant="you")).decree
        assert (data.content_type, data.note) == ("application/octet-stream", "why")
        assert (text.claimant, data.claimant) == ("me", "you")
        json = (await registry.claim("json", Json({"b": 1, "a": "ä"}))).decree
        assert (json.value, json.json()) == ('{"a":"ä","b":1}'.encode(), {"a": "ä", "b": 1})


@pytest.mark.parametrize(
    ("key", "value", "options"),
    [
        ("a//b", "v", {}),
        ("k", Json(float("nan")), {}),
        ("k", "\ud800", {}),
        ("k", 7, {}),
        ("k", "v", {"note": "n" * 2000}),
        ("k", "v", {"claimant": "n" * 2000}),
        ("k", "v", {"claim_id": b""}),
        ("k", "v", {"claim_id": b"i" * 65}),
        ("k", "v", {"timeout": -1}),
    ],
)
async def test_bad_requests_are_never_sent(key: str, value: str, options: dict[str, str]) -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        with pytest.raises(BadRequest):
            await registry.claim(key, value, **options)  # type: ignore[arg-type]
        assert cluster.nodes[0].connections == 0


async def test_a_value_over_the_limit_is_not_sent() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        for _ in range(2):  # the limit is not known the first time
            with pytest.raises(BadRequest, match="1025 bytes; the limit is 1024"):
                await registry.claim("k", b"v" * 1025)
        assert not cluster.nodes[0].requests
        assert (await registry.claim("k", b"v" * 1024)).won


async def test_the_next_node_coordinates_when_the_home_is_down() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        home, second, third = cluster.order(KEY)
        await home.stop()
        claimed = await registry.claim(KEY, "v", claim_id=b"one")
        assert claimed.won
        [request] = second.asked(ClaimRequest)
        assert request.claim.claim_id == b"one"
        assert not third.requests


@pytest.mark.parametrize(
    "error", [NotFormed, NotMember, StorageFailed, Unreachable, Damaged, OutcomeUnknown]
)
async def test_after_an_error_of_one_node_the_next_is_tried(error: type[Unreachable]) -> None:
    def fail(node: FakeNode, request: ClaimRequest) -> Failed:
        return Failed(request.id, error.code, "no")

    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        home, second, _ = cluster.order(KEY)
        home.script = fail
        assert (await registry.claim(KEY, "v", timeout=60)).won
        [first_try], [second_try] = home.asked(ClaimRequest), second.asked(ClaimRequest)
        assert first_try.claim == second_try.claim
        assert (first_try.here, second_try.here) == (False, True)


@pytest.mark.parametrize("error", [BadRequest, SeriesGap, Disputed])
async def test_an_error_of_a_claim_request_is_raised_immediately(error: type[BadRequest]) -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        for node in cluster.nodes:
            node.script = lambda node, request: Failed(request.id, error.code, "your fault")
        with pytest.raises(error, match="your fault"):
            await registry.claim(KEY, "v")
        assert sum(len(node.asked(ClaimRequest)) for node in cluster.nodes) == 1


async def test_if_the_home_is_silent_the_next_node_answers_and_the_home_gets_a_cancel() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        home, second, _ = cluster.order(KEY)
        home.script = lambda node, request: Silence
        claimed = await registry.claim(KEY, "v", timeout=60)
        assert claimed.won
        [late], [hedge] = home.asked(ClaimRequest), second.asked(ClaimRequest)
        assert (late.here, hedge.here) == (False, True)
        assert late.claim == hedge.claim
        await home.until(lambda node: any(r.id == late.id for r in node.requests[1:]))
        # the silent node is avoided: its next key goes to another node immediately
        assert (await registry.claim(f"{KEY}@1", "v")).won
        assert len(home.asked(ClaimRequest)) == 1


async def test_a_claim_that_was_cut_off_ends_as_unknown() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        first, *others = cluster.order(KEY)
        first.script = lambda node, request: HangUp
        for node in others:
            node.script = lambda node, request: Failed(request.id, Unreachable.code, "no quorum")
        with pytest.raises(OutcomeUnknown, match=f"claim id {'wish'}"):
            await registry.claim(KEY, "v", claim_id=b"wish", timeout=2)


async def test_a_claim_without_an_answer_ends_as_unknown() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.nodes[0].script = lambda node, request: Silence
        with pytest.raises(OutcomeUnknown):
            await registry.claim(KEY, "v", timeout=1)


async def test_a_claim_that_all_refused_definitely_is_unreachable() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        for node in cluster.nodes:
            node.script = lambda node, request: Failed(request.id, Unreachable.code, "no quorum")
        with pytest.raises(Unreachable, match="no quorum"):
            await registry.claim(KEY, "v", timeout=2)
        # they were tried more than once in that time
        assert all(len(node.asked(ClaimRequest)) > 1 for node in cluster.nodes)


async def test_a_claim_that_was_never_sent_is_unreachable() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        await cluster.nodes[0].stop()
        with pytest.raises(Unreachable):
            await registry.claim(KEY, "v", timeout=0.3)


async def test_one_indefinite_try_outweighs_a_later_definite_error() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        home, second, _ = cluster.order(KEY)
        home.script = lambda node, request: HangUp
        second.script = lambda node, request: Failed(request.id, SeriesGap.code, "a gap")
        with pytest.raises(OutcomeUnknown, match="a gap"):
            await registry.claim(KEY, "v")


@pytest.mark.parametrize("code", [0, 999])
async def test_an_error_without_a_name_leaves_the_outcome_unknown(code: int) -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.nodes[0].script = lambda node, request: Failed(request.id, code, "what is this?")
        with pytest.raises(OutcomeUnknown, match="what is this"):
            await registry.claim(KEY, "v", timeout=0.3)
        with pytest.raises(Unreachable, match="what is this"):
            await registry.get(KEY, timeout=0.3)


async def test_after_garbage_from_one_node_the_next_is_tried() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        cluster.order(KEY)[0].script = lambda node, request: Garbage
        assert (await registry.claim(KEY, "v")).won


@pytest.mark.parametrize("error", [NotFormed, NotMember])
async def test_what_all_nodes_say_of_themselves_is_raised(error: type[Unreachable]) -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        for node in cluster.nodes:
            node.script = lambda node, request: Failed(request.id, error.code, "no vote")
        with pytest.raises(error, match="no vote"):
            await registry.claim(KEY, "v", timeout=1)


async def test_M13_a_node_that_is_no_voter_is_asked_after_all_others_from_then_on() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints, cache_decrees=0) as registry:
        home, second, _ = cluster.order(KEY)
        home.script = lambda node, request: Failed(request.id, NotMember.code, "no voter")
        for _ in range(3):
            assert (await registry.claim(KEY, "v", claim_id="one")).won
        assert (len(home.asked(ClaimRequest)), len(second.asked(ClaimRequest))) == (1, 3)


async def test_the_node_is_given_a_little_less_time_than_the_caller_waits() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        await registry.claim(KEY, "v", timeout=200)
        [request] = cluster.nodes[0].asked(ClaimRequest)
        assert 150_000 < request.timeout_ms < 200_000


async def test_claim_many_settles_claims_independently_in_one_frame_for_each_node() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints, cache_decrees=0) as registry:
        cluster.decide(decree_of("key7", b"taken"))
        await registry.status()  # all connections are open
        for node in cluster.nodes:
            node.frames.clear()
        items = [(f"key{number}", "v") for number in range(100)] + [("a//b", "v")]
        results = await registry.claim_many(items)
        claimed = [result for result in results if isinstance(result, Claimed)]
        assert [result.decree.key for result in claimed] == [key for key, _ in items[:-1]]
        assert [n for n, result in enumerate(claimed) if not result.won] == [7]
        assert isinstance(results[-1], BadRequest)
        assert all(len(node.frames) == 1 for node in cluster.nodes)


async def test_claim_many_when_nobody_answers() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        await cluster.nodes[0].stop()
        results = await registry.claim_many({"a": "v", "b": "v"}, timeout=0.2)
        assert [type(result) for result in results] == [Unreachable, Unreachable]
        assert await registry.claim_many({}, timeout=0.2) == []


async def test_claim_next_begins_after_the_latest_slot() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        assert (await registry.claim_next("settings", "one")).slot == 1
        cluster.decide(decree_of("settings@2"))
        assert (await registry.claim_next("settings", "three", claim_id="x")).slot == 3
        again = await registry.claim_next("settings", "three", claim_id="x", first_slot=3)
        assert (again.slot, again.won) == (3, True)
        latest = await registry.latest("settings")
        assert latest is not None and latest.text == "three"
        assert await registry.latest("nothing") is None


async def test_a_repeated_claim_next_carries_the_same_slot_and_id() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        home, second, _ = cluster.order("settings")

        def hang_up_on_claims(node: FakeNode, request: object) -> object:
            return HangUp if isinstance(request, ClaimNextRequest) else AsUsual

        home.script = hang_up_on_claims
        assert (await registry.claim_next("settings", "one")).slot == 1
        tried: list[Claim] = [
            request.claim for node in (home, second) for request in node.asked(ClaimNextRequest)
        ]
        assert len(tried) == 2 and tried[0] == tried[1] and tried[0].key == "settings@1"
        assert len(home.asked(LatestRequest)) == 1


async def test_an_unknown_outcome_of_claim_next_says_how_to_repeat_it() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.nodes[0].script = lambda node, request: Silence
        with pytest.raises(OutcomeUnknown, match="first_slot=4"):
            await registry.claim_next("settings", "v", first_slot=4, timeout=1)


async def test_a_burst_at_a_slow_node_is_not_sent_twice() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        await registry.status()
        keys = [key for n in range(600) if cluster.order(key := f"key{n}")[0].name == "n1"]
        release = anyio.Event()

        async def answer_late(node: FakeNode, request: ClaimRequest) -> Decreed:
            await release.wait()
            return Decreed(request.id, cluster.decide(node.freeze(request.claim)))

        slow, *others = cluster.nodes
        slow.script = answer_late
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(registry.claim_many, [(key, "v") for key in keys])
            # the first late ones go to the others; then the node answers again
            async with anyio.create_task_group() as watchers:
                for node in others:
                    watchers.start_soon(node.until, lambda node: node.asked(ClaimRequest))
            release.set()
        assert 2 <= sum(len(node.asked(ClaimRequest)) for node in others) <= 32
