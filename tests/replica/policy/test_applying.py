"""S11 and S16: a policy is applied on top of the newest one, and in force before that is said."""

from typing import Any

from msgspec.structs import replace

from decreed.registry.errors import BadRequest, OutcomeUnknown, Refused, Unreachable
from decreed.registry.paxos.messages import Accepted
from decreed.registry.policy.confirming import MAX_AGE_MS
from decreed.registry.policy.encoding import encode
from decreed.registry.replica.step.events import LinksSecured
from decreed.registry.types import NodeId
from decreed.registry.wire.policy import PolicyTold
from decreed.registry.wire.requests import Answer, Decreed, Failed, PolicyApplied, PolicyRequest
from decreed.registry.wire.status import CertificatePart, CertificateStatus

from ...policy.samples import SMALL, changed, read
from ...support.changed import N1, N2, N3, N4
from ...support.governed import LOOK, GovernedWorld
from ...support.world import World, config

TIMEOUT_MS = 60_000


def request(
    world: World, base: int, document: Any, claim_id: bytes = b"1", timeout_ms: int = TIMEOUT_MS
) -> PolicyRequest:
    data = document if isinstance(document, bytes) else encode(read(document))
    return PolicyRequest(world.new_id(), timeout_ms, base, data, "alice", claim_id, "why")


def apply(
    world: World,
    node: NodeId,
    base: int,
    document: Any,
    claim_id: bytes = b"1",
    ms: int = TIMEOUT_MS,
) -> Answer:
    return world.ask(node, request(world, base, document, claim_id, ms), within_ms=2 * TIMEOUT_MS)


def failure(answer: Answer) -> tuple[int, str]:
    assert isinstance(answer, Failed), answer
    return answer.code, answer.message


def test_s16_it_is_done_soon_if_all_voters_learn_it() -> None:
    world = GovernedWorld()
    began_ms = world.now_ms
    answer = apply(world, N2, 0, SMALL)
    assert isinstance(answer, PolicyApplied) and answer.in_force and answer.missing == ()
    assert answer.decree.value == encode(read(SMALL)) and answer.decree.key == "$policy@1"
    assert (answer.decree.claimant, answer.decree.note) == ("alice", "why")
    assert world.now_ms - began_ms < 1_000
    assert world.obeyed() == dict.fromkeys((N1, N2, N3), 1)


def test_s16_else_it_waits_until_who_is_cut_off_is_confirmed_no_longer() -> None:
    world = GovernedWorld()
    world.cut_off(N3)
    assert N3 in world.confirmed()
    began_ms = world.now_ms
    answer = apply(world, N1, 0, SMALL)
    assert isinstance(answer, PolicyApplied) and answer.in_force and answer.missing == (N3,)
    assert world.now_ms - began_ms > MAX_AGE_MS
    assert world.confirmed() == [N1, N2] and world.obeyed()[N3] == 0


def test_s16_it_says_who_is_waited_for_when_the_time_is_over_and_goes_on_if_asked_again() -> None:
    world = GovernedWorld()
    world.cut_off(N3)
    first = apply(world, N1, 0, SMALL, ms=3_000)
    assert isinstance(first, PolicyApplied) and not first.in_force and first.missing == (N3,)
    began_ms = world.now_ms
    again = apply(world, N1, 0, SMALL)
    assert isinstance(again, PolicyApplied) and again.in_force
    assert world.now_ms - began_ms < MAX_AGE_MS  # the count went on
    assert again.decree == first.decree


def test_s16_a_voter_counts_once_the_policy_is_durable_there() -> None:
    world = GovernedWorld()
    world.lose = lambda _, __, message: isinstance(message, PolicyTold) and message.newest == 1
    answer = apply(world, N1, 0, SMALL, ms=5_000)
    assert isinstance(answer, PolicyApplied) and not answer.in_force
    assert answer.missing == (N2, N3)


def test_s16_in_a_new_epoch_the_counting_begins_again() -> None:
    world = GovernedWorld([N4])
    world.lose = lambda _, __, message: isinstance(message, PolicyTold) and message.newest == 1
    mark = world.send(N1, request(world, 0, SMALL))
    world.run(500)
    world.change(N1, N1, N2, N4)
    world.lose = lambda *_: False
    began_ms = world.now_ms
    world.run(1_000)
    assert not world.answers[mark]  # all know it, but a voter of before may be cut off
    world.run(2 * MAX_AGE_MS)
    [answer] = world.answers[mark]
    assert isinstance(answer, PolicyApplied) and answer.in_force and answer.missing == ()
    assert world.now_ms - began_ms > MAX_AGE_MS


def test_s11_of_two_on_the_same_base_one_is_decided_and_the_other_told() -> None:
    world = GovernedWorld()
    marks = [
        world.send(N1, request(world, 0, SMALL, b"one")),
        world.send(N2, request(world, 0, LOOK, b"two")),
    ]
    world.run(5_000)
    [[one], [other]] = [world.answers[mark] for mark in marks]
    told = {type(one), type(other)}
    assert told == {PolicyApplied, Decreed}
    assert isinstance(one, PolicyApplied | Decreed) and isinstance(other, PolicyApplied | Decreed)
    assert one.decree == other.decree


def test_s11_a_base_that_is_not_the_newest_is_refused() -> None:
    world = GovernedWorld()
    apply(world, N1, 0, SMALL)
    code, message = failure(apply(world, N1, 3, LOOK, b"2"))
    assert code == BadRequest.code and "knows policy 1 as the newest, and not 3" in message
    assert isinstance(apply(world, N1, 0, LOOK, b"2"), Decreed)
    assert isinstance(apply(world, N1, 1, LOOK, b"2"), PolicyApplied)


def test_s11_it_is_checked_before_it_is_proposed() -> None:
    world = GovernedWorld()
    code, message = failure(apply(world, N1, 0, b'{"format": 1}'))
    assert code == BadRequest.code and "it leaves nobody with admin" in message
    assert world.obeyed()[N1] == 0
    laid_out = b"\n " + encode(read(SMALL))
    answer = apply(world, N1, 0, laid_out)
    assert isinstance(answer, PolicyApplied) and answer.decree.value == encode(read(SMALL))


def test_s11_one_that_fits_into_no_value_is_refused() -> None:
    cluster = config()
    world = GovernedWorld(
        cluster=replace(cluster, limits=replace(cluster.limits, max_value_bytes=300))
    )
    many = {f"client/c{number}": ["deploy"] for number in range(20)}
    code, message = failure(apply(world, N1, 0, changed(members={**SMALL["members"], **many})))
    assert code == BadRequest.code and "limits.max_value_bytes is 300" in message


def test_s15_a_node_that_is_not_confirmed_proposes_none() -> None:
    world = GovernedWorld()
    world.cut_off(N1)
    world.run_out()
    code, message = failure(apply(world, N1, 0, SMALL))
    assert code == Unreachable.code and message.startswith("policy not confirmed")


def test_a_policy_whose_outcome_is_unknown_is_not_said_to_be_refused() -> None:
    world = GovernedWorld()
    world.lose = lambda _, __, message: isinstance(message, Accepted)
    code, _ = failure(apply(world, N1, 0, SMALL, ms=2_000))
    assert code == OutcomeUnknown.code
    world.lose = lambda *_: False
    world.run(5_000)
    assert isinstance(apply(world, N2, 0, SMALL), PolicyApplied)


def test_a_cluster_that_obeys_no_policies_takes_none() -> None:
    world = World()
    code, message = failure(apply(world, N1, 0, SMALL))
    assert code == Refused.code and message == "this cluster obeys no policies"


# -- who would be cut off by it


def shown(
    world: GovernedWorld, node: NodeId, *certificates: tuple[CertificatePart, str, str]
) -> None:
    """Tell a node what certificates there are: part, whose, and a mark."""
    told = [CertificateStatus(part, whose, 1, (mark,)) for part, whose, mark in certificates]
    world.post(node, LinksSecured(None, "", tuple(told)))


def test_s36_a_policy_that_leaves_no_quorum_of_voters_linked_is_not_proposed() -> None:
    world = GovernedWorld()
    shown(
        world,
        N1,
        (CertificatePart.OWN, "node/n1", "serial:a1"),
        (CertificatePart.PEER, "node/n2", "serial:a2"),
        (CertificatePart.PEER, "node/n2", "serial:b2"),
        (CertificatePart.CLIENT, "node/n3", "serial:a3"),
    )
    allowed = [
        ["node/n3"],  # two of three are left
        ["node/n7", "node/n3"],
        ["serial:a2", "node/n3"],  # n2 has another certificate
        ["serial:a3", "serial:a1"],  # n3's is not known
    ]
    refused: list[tuple[list[str], str]] = [
        (["node/n1", "node/n3"], "cuts off n1, n3, so 1 of 3 voters would be left"),
        (["serial:a1", "node/n2"], "cuts off n1, n2"),
        (["serial:a2", "serial:b2", "node/n3"], "it takes 2 to decide anything"),
    ]
    for number, (entries, fault) in enumerate(refused):
        answer = apply(world, N1, 0, changed(refused=entries), b"r%d" % number)
        code, message = failure(answer)
        assert code == BadRequest.code and fault in message
    assert set(world.obeyed().values()) == {0}
    for number, entries in enumerate(allowed):
        answer = apply(world, N1, number, changed(refused=entries), b"a%d" % number)
        assert isinstance(answer, PolicyApplied), entries


def test_s36_of_one_node_nobody_is_left() -> None:
    world = GovernedWorld(cluster=config(1))
    assert "cuts off n1" in failure(apply(world, N1, 0, changed(refused=["node/n1"])))[1]


def test_s81_each_token_that_a_policy_makes_or_revokes_has_a_line_of_its_own() -> None:
    world = GovernedWorld()
    apply(world, N2, 0, SMALL)
    later = {"sha256": "ab" * 32, "expires": "2027-03-01T00:00:00Z"}
    other = {"sha256": "cd" * 32, "expires": "2027-03-01T00:00:00Z"}
    for base, tokens in enumerate(({"ci": later, "cd": other}, {"ci": other}, {}), 1):
        members = {"client/alice": ["ops"]}
        apply(world, N2, base, changed(members=members, tokens=tokens), str(base).encode())
    apply(world, N2, 3, changed(members={"client/alice": ["ops"]}, tokens={}), b"3")  # once more
    told = [
        (record.event.value, record.number, *record.names)
        for record in world.audited[N2]
        if record.event.value.startswith("token")
    ]
    assert told == [
        ("token-made", 1, "ci"),
        ("token-made", 2, "cd"),
        ("token-made", 2, "ci"),  # it is good for longer
        ("token-revoked", 3, "cd"),
        ("token-revoked", 3, "ci"),
        ("token-made", 3, "ci"),
        ("token-revoked", 4, "ci"),
    ]
    assert all(record.right == "admin" and record.connection for record in world.audited[N2])
