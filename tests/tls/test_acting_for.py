"""S08: `acting_for` of each kind of client, at real nodes on loopback."""

import asyncio
from typing import Any

import pytest
import trio

from decreed import client
from decreed.client import sync
from decreed.registry.errors import BadRequest, Closed, Denied
from decreed.registry.replica.step.events import Misnamed
from decreed.registry.server.gateways import by_identity
from decreed.registry.types import Key
from decreed.registry.wire.gateways import ActForRequest
from decreed.registry.wire.requests import Cancel, ClientPing, GetRequest

from ..policy.samples import ALICE, CI
from ..support.certificates import Authority
from ..support.tokens import Governed, governed, policy_with

pytestmark = pytest.mark.trio
PATIENCE_S = 60.0


async def _work(place: Governed, prefix: str) -> None:
    async with client.connect(place.at, tls=place.tls_of("gw"), timeout=PATIENCE_S) as own:
        bob = own.acting_for("client/bob")
        first = await bob.claim(f"{prefix}/a", "1")
        assert (first.won, first.decree.identity) == (True, "client/bob")
        many = await bob.claim_many({f"{prefix}/b": "2", f"{prefix}/c": "3"})
        assert [claimed.decree.identity for claimed in many] == ["client/bob"] * 2  # type: ignore[union-attr]
        assert (await bob.claim_next(f"{prefix}/s", "4")).decree.identity == "client/bob"
        assert (await own.claim(f"{prefix}/own", "5")).decree.identity == "client/gw"
        assert (await bob.get(f"{prefix}/a")).text == "1"  # type: ignore[union-attr]
        assert [d.text async for d in bob.list(prefix)] == ["1", "2", "3", "5", "4"]
        async with bob.lock(f"{prefix}/lock") as lock:
            lock.ensure_held()
            state = await own.lock_state(f"{prefix}/lock")
        assert state is not None
        # what the gateway has read is not at hand for those who may not read it
        await own.get(f"{prefix}/a")
        eve = own.acting_for("client/eve")
        assert eve.cached(f"{prefix}/a") is None
        for call in (eve.get(f"{prefix}/a"), eve.claim(f"{prefix}/e", "6"), bob.claim("far", "7")):
            with pytest.raises(Denied):
                await call
        await bob.aclose()  # it ends with its client
        assert (await own.get(f"{prefix}/a")) is not None
        for wrong in ("node/n1", "anonymous", "bob", "", "client/a/b"):
            with pytest.raises(BadRequest):
                own.acting_for(wrong)
    with pytest.raises(Closed):
        await bob.get(f"{prefix}/a")


def _block(place: Governed) -> None:
    with sync.connect(place.at, tls=place.tls_of("gw"), timeout=PATIENCE_S) as own:
        bob = own.acting_for("client/bob")
        assert bob.claim("app/sync/a", "1").decree.identity == "client/bob"
        assert bob.get("app/sync/a").text == "1"  # type: ignore[union-attr]
        assert [decree.text for decree in bob.list("app/sync")] == ["1"]
        with bob.lock("app/sync/lock") as lock:
            lock.ensure_held()
        own.get("app/sync/a")
        eve = own.acting_for("client/eve")
        assert eve.cached("app/sync/a") is None and "client/eve" in repr(eve)
        with pytest.raises(Denied):
            eve.get("app/sync/a")
        with bob:
            pass
        assert own.get("app/sync/a") is not None
    with pytest.raises(Closed):
        bob.get("app/sync/a")


async def test_s08_a_gateway_claims_reads_lists_and_locks_for_another(authority: Authority) -> None:
    async with governed(authority) as place:
        await place.apply(policy_with({}))
        await _work(place, "app/trio")
        await trio.to_thread.run_sync(lambda: asyncio.run(_work(place, "app/asyncio")))
        await trio.to_thread.run_sync(_block, place)


async def test_s08_who_may_not_act_for_others_is_denied(authority: Authority) -> None:
    async with governed(authority) as place:
        async with client.connect(place.at, tls=place.tls_of("gw")) as early:
            with pytest.raises(Denied, match="act-for"):
                await early.acting_for("client/bob").claim("app/x", "v")
        await place.apply(policy_with({}))
        for name in ("carol", "alice"):
            async with client.connect(place.at, tls=place.tls_of(name)) as own:
                with pytest.raises(Denied, match="'act-for' on 'app/x'"):
                    await own.acting_for("client/bob").claim("app/x", "v")
                assert (await own.claim(f"app/{name}", "v")).decree.identity == f"client/{name}"


async def test_s08_wrapped_requests_come_from_whom_they_name_and_in_their_order() -> None:
    def get(id: int) -> GetRequest:
        return GetRequest(id, 10, Key("k"))

    sent: list[Any] = [
        get(1),
        ActForRequest("client/bob", get(2)),
        ActForRequest("client/bob", get(3)),
        ActForRequest("client/dan", get(4)),
        ActForRequest("nobody", get(5)),
        Cancel(2),
        ClientPing(6),
    ]
    found = [
        (str(identity), identity.through, [request.id for request in requests])
        for identity, requests in by_identity(sent, ALICE)
    ]
    assert found == [
        ("client/alice", None, [1]),
        ("client/bob", ALICE, [2, 3]),
        ("client/dan", ALICE, [4]),
        ("client/alice", None, [5, 2, 6]),
    ]
    *_, (_, last) = by_identity(sent, ALICE)
    assert isinstance(last[0], Misnamed)
    [(own, _)] = by_identity(sent[:1], CI)
    assert own is CI
