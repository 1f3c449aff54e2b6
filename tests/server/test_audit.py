"""S22: the audit log: a line before the answer, nothing secret in it, and an alarm when it fails."""

import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from decreed.cli.shell.error_groups import leading_error
from decreed.registry.audit import (
    AuditEvent,
    AuditOutcome,
    AuditRecord,
    Speaker,
    came_as_node,
    certificate_refused,
    denial,
    line,
    started,
    token_refused,
    tokens_changed,
    told_of,
)
from decreed.registry.config import ClusterConfig
from decreed.registry.errors import Refused, Unreachable
from decreed.registry.locks.terms import Ending, How, LeaseId
from decreed.registry.policy.tokens import TokenChanges
from decreed.registry.replica.step.events import ClientGone
from decreed.registry.server.audit_log import AuditLog
from decreed.registry.server.serve import serve_node
from decreed.registry.server.start import ServerStart
from decreed.registry.types import Claim, Key, NodeId
from decreed.registry.wire.handshake import MAGIC, VERSION, TokenHello
from decreed.registry.wire.members import ChangePlan, ChangeRequest, Finding, FindingKind, Voter
from decreed.registry.wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Ended,
    EndRequest,
    Failed,
    GetRequest,
    PolicyApplied,
    PolicyRequest,
)
from decreed.storage.memory import MemoryDisk, open_memory

from ..support.live import PATIENCE_S, RawClient, live_config
from ..support.ports import let_go
from ..support.world import World, claim, config

ALICE = Speaker("client/alice", "10.0.0.1:50000")
DENIAL = denial(7, "claim", "prod/db", 5)
SECRETS = ("value-6f1d", "note-6f1d", "reason-6f1d", "claimant-6f1d", "info-6f1d")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(each) for each in path.read_text("ascii").splitlines() if each]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def opened(path: Path, **settings: Any) -> AuditLog:
    log = AuditLog(path, "n1", clock_ms=lambda: 1_000, **settings)
    log.open()
    return log


# -- the file


def test_a_line_has_the_time_the_node_who_and_what(path: Path) -> None:
    log = opened(path)
    log.write([DENIAL], [ALICE])
    log.close()
    assert lines(path) == [
        {
            "time": "1970-01-01T00:00:01.000+00:00",
            "event": "denied",
            "outcome": "denied",
            "node": "n1",
            "identity": "client/alice",
            "address": "10.0.0.1:50000",
            "connection": 7,
            "right": "claim",
            "path": "prod/db",
            "policy": 5,
        }
    ]


def test_the_file_is_its_owners_and_is_only_appended_to(path: Path) -> None:
    before = os.umask(0)
    try:
        for _ in range(2):
            log = opened(path)
            log.write([DENIAL], [ALICE])
            log.close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(lines(path)) == 2


def test_a_file_that_was_moved_away_is_made_again(path: Path) -> None:
    log = opened(path)
    log.write([DENIAL], [ALICE])
    path.rename(path.with_suffix(".1"))
    log.write([DENIAL], [ALICE])
    log.open()
    log.write([DENIAL], [ALICE])
    log.close()
    assert (len(lines(path.with_suffix(".1"))), len(lines(path))) == (2, 1)


def test_a_line_that_a_crash_has_cut_off_spoils_no_other(path: Path) -> None:
    path.write_text('{"time": "19')
    log = opened(path)
    log.write([DENIAL], [ALICE])
    log.close()
    cut, whole = path.read_text().splitlines()
    assert cut == '{"time": "19' and json.loads(whole)["event"] == "denied"


def test_no_name_can_begin_a_line_of_its_own(path: Path) -> None:
    log = opened(path)
    log.write([denial(1, "read", 'a\n{"event": "policy"}\x1b[2J\u202e', None)], [ALICE])
    log.close()
    [told] = lines(path)
    assert told["event"] == "denied" and path.read_text("ascii").count("\n") == 1


def test_a_full_disk_is_an_alarm_and_what_was_lost_is_counted(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    path.symlink_to(full)
    log = opened(path)
    with caplog.at_level(logging.ERROR, logger="decreed"):
        log.write([DENIAL], [ALICE])
        log.write([DENIAL, DENIAL], [ALICE, ALICE])
    assert "the audit log" in caplog.text and "No space left on device" in caplog.text
    path.unlink()
    log.open()
    log.write([DENIAL], [ALICE])
    log.close()
    lost, told = lines(path)
    assert (lost["event"], lost["lines"], told["event"]) == ("lost", 3, "denied")


def test_a_log_that_is_required_is_an_error_and_says_the_way_out(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "audit.jsonl"
    opened(missing).close()
    with pytest.raises(Refused, match=r"cannot be written: No such file.*audit\.required"):
        opened(missing, required=True)
    log = opened(Path("/dev/full"), required=True)
    with pytest.raises(Refused, match="No space left"):
        log.write([DENIAL], [ALICE])
    log.close()


def test_a_folder_that_comes_later_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "later" / "audit.jsonl"
    log = opened(path)
    log.write([DENIAL], [ALICE])
    path.parent.mkdir()
    log.write([DENIAL], [ALICE])
    log.close()
    assert [each["event"] for each in lines(path)] == ["lost", "denied"]


def test_a_pipe_that_nobody_reads_never_makes_a_node_wait(path: Path) -> None:
    os.mkfifo(path)
    log = opened(path)
    log.write([DENIAL], [ALICE])
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    # until it is full, and beyond
    for _ in range(2_000):
        log.write([DENIAL], [ALICE])
    os.close(reader)
    log.close()


def test_each_kind_of_record_has_a_line() -> None:
    records = (
        DENIAL,
        *tokens_changed(1, 7, TokenChanges(("ci-2",), ("ci-1",))),
        token_refused(),
        certificate_refused("node/n9"),
        came_as_node(1, "n1"),
        started(3, b"f" * 16),
    )
    told = [json.loads(line(record, ALICE, "n1", 0)) for record in records]
    assert [each["event"] for each in told] == [
        *("denied", "token-revoked", "token-made", "token", "certificate", "as-node", "started"),
    ]


# -- what a node tells


def told(world: World, node: str) -> list[AuditRecord]:
    """What a node has told so far."""
    return world.audited[NodeId(node)]


def secretive(key: str) -> Claim:
    """A claim with a secret in each text that a claim has."""
    value, note, _, claimant, _ = SECRETS
    return Claim(Key(key), value.encode(), "text/plain", claimant, b"id-6f1d", note)


def audited(**settings: Any) -> World:
    """A cluster that tells claims too."""
    return World(config(3, audit={"claims": True, **settings}))


def test_claims_are_told_with_what_became_of_them_if_that_is_asked_for() -> None:
    world = audited()
    world.ask("n1", ClaimRequest(1, 5_000, False, secretive("k")))
    world.ask("n1", ClaimRequest(2, 5_000, False, claim("k", b"other", b"other")))
    world.ask("n1", ClaimNextRequest(3, 5_000, False, secretive("s@1")))
    world.ask("n1", GetRequest(4, 5_000, Key("k")))
    found = [(each.outcome, each.path) for each in told(world, "n1") if each.path]
    assert found == [
        *((AuditOutcome.DONE, "k"), (AuditOutcome.LOST, "k"), (AuditOutcome.DONE, "s@1")),
    ]
    assert [each for node in ("n2", "n3") for each in told(world, node) if each.path] == []


def test_a_client_that_leaves_before_its_answer_is_told() -> None:
    world = audited()
    world.crash(NodeId("n2"))
    world.crash(NodeId("n3"))
    world.send("n1", ClaimRequest(1, 60_000, True, secretive("k")))
    world.run(100)
    assert [each for each in told(world, "n1") if each.path] == []
    world.post(NodeId("n1"), ClientGone(1))
    world.run(100)
    [record] = [each for each in told(world, "n1") if each.path]
    assert (record.outcome, record.path) == (AuditOutcome.GONE, "k")


def test_claims_are_not_told_otherwise() -> None:
    world = World(config(3))
    world.ask("n1", ClaimRequest(1, 5_000, False, secretive("k")))
    assert told(world, "n1") == []


def test_a_break_is_told_and_a_release_is_not() -> None:
    world = World(config(1))
    for how in (How.RELEASED, How.BROKEN, How.FORCED):
        lease = LeaseId("jobs", 1, b"id-6f1d")
        ending = Ending(how, "claimant-6f1d", "reason-6f1d")
        world.ask("n1", EndRequest(1, 5_000, lease, ending, None))
    found = [(each.event, each.outcome, each.error, each.number) for each in told(world, "n1")]
    failed = (AuditEvent.BREAK, AuditOutcome.FAILED, "BadRequest", 1)
    assert found == [failed, failed]


def change(propose: bool) -> ChangeRequest:
    voters = tuple(Voter(NodeId(f"n{n}"), bytes(16), "127.0.0.1:1") for n in (1, 2, 3))
    return ChangeRequest(
        1, 5_000, 0, voters, 2, 2, "claimant-6f1d", b"id-6f1d", "note-6f1d", propose
    )


def test_a_change_of_members_is_told_and_a_mere_question_is_not() -> None:
    world = World(config(3))
    for propose in (False, True):
        assert isinstance(world.ask("n1", change(propose)), ChangePlan | Failed)
    [record] = told(world, "n1")
    assert (record.event, record.names, record.number) == (
        *(AuditEvent.MEMBERS, ("n1", "n2", "n3"), 1),
    )
    assert record.outcome in (AuditOutcome.NOT_PROPOSED, AuditOutcome.FAILED)


def answers() -> list[tuple[Any, Answer | None]]:
    """Requests with a secret in each text, with all that can be answered to them."""
    end = EndRequest(1, 1, LeaseId("l", 1, b"id-6f1d"), Ending(How.BROKEN, *SECRETS[3:1:-1]), None)
    failed = Failed(1, Unreachable.code, "value-6f1d")
    plan = ChangePlan(1, 0, (Finding(FindingKind.REFUSED, "info-6f1d"),))
    decreed = Decreed(1, World(config(1)).freeze("n1", "k", b"value-6f1d").decree)
    policy = PolicyRequest(1, 1, 4, b"value-6f1d", "claimant-6f1d", b"id-6f1d", "note-6f1d")
    applied = PolicyApplied(1, decreed.decree, True, ())
    each: list[tuple[Any, Answer | None]] = [(end, Ended(1)), (change(True), plan)]
    each += [(policy, applied), (policy, decreed)]
    for request in (ClaimRequest(1, 1, False, secretive("k")), change(True)):
        each += [(request, decreed)]
    each += [(request, answer) for request, _ in each for answer in (failed, None)]
    return each


def test_no_line_has_a_value_a_note_a_reason_a_claimant_or_a_claim_id() -> None:
    for request, answer in answers():
        text = line(told_of(request, answer, 1), ALICE, "n1", 0)
        assert "6f1d" not in text and b"id-6f1d".hex() not in text


def test_a_policy_is_told_with_the_one_that_it_follows() -> None:
    world = World(config(1))
    world.ask("n1", PolicyRequest(1, 5_000, 4, b"{}", "ann", b"id", ""))
    [record] = told(world, "n1")
    assert (record.event, record.before, record.number) == (AuditEvent.POLICY, 4, 5)
    assert (record.outcome, record.error) == (AuditOutcome.FAILED, "Refused")


# -- a node as a server


@asynccontextmanager
async def audited_node(log: AuditLog, settings: ClusterConfig) -> AsyncIterator[RawClient]:
    """A client of n1, which writes this log."""
    storage = open_memory(MemoryDisk("n1"), settings, NodeId("n1"), os.urandom)
    async with trio.open_nursery() as nursery:
        ready = trio.Event()
        serve = partial(serve_node, started=ready.set)
        nursery.start_soon(serve, settings, storage, trio.Event(), ServerStart(audit=log))
        await ready.wait()
        client = RawClient(await trio.open_tcp_stream(*settings.address(NodeId("n1"))))
        await client.greet()
        try:
            yield client
        finally:
            await trio.aclose_forcefully(client.stream)
            let_go(settings.address(node)[1] for node in settings.nodes)
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_the_line_is_there_when_the_answer_arrives(path: Path) -> None:
    settings = await live_config(1, audit={"claims": True})
    with trio.fail_after(PATIENCE_S):
        async with audited_node(opened(path), settings) as client:
            for number in range(1, 4):
                request = ClaimRequest(number, 60_000, True, claim(f"k{number}"))
                assert isinstance(await client.ask(request), Decreed)
                assert lines(path)[-1]["path"] == f"k{number}"
    last = lines(path)[-1]
    assert (last["identity"], last["node"]) == ("anonymous", "n1")
    assert last["address"].startswith("127.0.0.1:")
    assert lines(path)[0]["event"] == "started"


@pytest.mark.trio
async def test_s83_a_stranger_with_wrong_tokens_does_not_fill_the_log(path: Path) -> None:
    settings = await live_config(1)
    shown = TokenHello(MAGIC, VERSION, VERSION, "test", b"decreed-ci-wrong")
    with trio.fail_after(PATIENCE_S):
        async with audited_node(opened(path), settings):
            for _ in range(10):
                async with await trio.open_tcp_stream(*settings.address(NodeId("n1"))) as stream:
                    stranger = RawClient(stream)
                    await stranger.say(shown)
                    assert await stranger.ended()
            told = [each for each in lines(path) if each["event"] == "token"]
            assert len(told) == 1 and "count" not in told[0]
    told = [each for each in lines(path) if each["event"] == "token"]
    assert [each.get("count") for each in told] == [None, 9]


@pytest.mark.trio
async def test_a_node_that_needs_its_log_does_not_serve_without_it() -> None:
    settings = config(1, audit={"required": True})
    storage = open_memory(MemoryDisk("n1"), settings, NodeId("n1"), os.urandom)
    with trio.fail_after(PATIENCE_S), pytest.raises(Refused, match="start it with --audit"):
        await serve_node(settings, storage, trio.Event())


@pytest.mark.trio
async def test_a_node_that_needs_its_log_stops_before_it_answers(path: Path) -> None:
    settings = await live_config(1, audit={"claims": True, "required": True})
    log = opened(path, required=True)
    answers: list[Answer] = []
    with trio.fail_after(PATIENCE_S), pytest.raises(BaseExceptionGroup) as caught:
        async with audited_node(log, settings) as client:
            path.unlink()
            path.symlink_to("/dev/full")
            log.open()
            answers.append(await client.ask(ClaimRequest(1, 60_000, True, claim("k"))))
    assert answers == []
    refused = caught.value.subgroup(Refused)
    assert refused is not None and "No space left" in str(leading_error(refused))
