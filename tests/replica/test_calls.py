"""A claim goes through the core without a detour: few files, few functions, few changes of room.

`make calls` prints what it visits. The numbers are the same in every run and on every machine.
"""

import pytest

from decreed.registry.policy.encoding import encode
from decreed.registry.replica.policy.confirming import Confirming
from decreed.registry.replica.step.events import FromClient
from decreed.registry.wire.requests import ClaimRequest

from ..policy.samples import ALICE, changed, read
from ..support.calls import HOME, GovernedRecordedWorld, Way, way_of_a_claim
from ..support.governed import GovernedWorld
from ..support.world import claim

MOST_FILES = 22
"""Two of them only count: how the request ended, and how long it took."""
MOST_FUNCTIONS = 83
MOST_CHANGES_OF_ROOM = 45


def test_a_claim_at_its_home_visits_few_files_and_functions_and_rarely_changes_room() -> None:
    way = way_of_a_claim()
    assert len(way.files) <= MOST_FILES, way
    assert len(way.functions) <= MOST_FUNCTIONS, way
    assert way.changes_of_room <= MOST_CHANGES_OF_ROOM, way


def test_every_claim_goes_the_same_way() -> None:
    assert way_of_a_claim() == way_of_a_claim()


def test_a_claim_is_proposed_voted_on_learned_and_answered() -> None:
    """The count is of something: a way that ended early would be short as well."""
    visited = {call.function for call in way_of_a_claim().functions}
    assert visited >= {
        *(
            "Replica.step",
            "ClientRequests.open",
            "Claims.begin",
            "Coordinator.join",
            "HomePromise.prepared",
        ),
        *("propose", "on_accept", "on_accepted", "learn", "Learner.learn", "Claims.settle"),
        *("PendingRequests.answer", "StepBuilder.finish"),
    }


def test_names_are_not_checked_again_within_the_core() -> None:
    assert "replica/requests/validation.py" not in way_of_a_claim().files


# -- what rights take

MOST_WITHOUT_A_POLICY = 9
"""More calls than where none is obeyed; five of them are the one look at the confirmation in a turn."""
MOST_WITH_A_POLICY = 24
"""Its right to claim is asked once, before its records are loaded (S60), and that holds in its step; so
is the right to read what a lost claim finds."""
ROLES = 100


def governed_way(roles: int, *, deep: int = 1) -> Way:
    """The way of a claim of alice, whose role is the last of so many; 0: without a policy."""
    world = GovernedRecordedWorld()
    if roles:
        on = [f"r{role}{'/a' * (deep - 1)}" for role in range(roles - 1)]
        named = {f"r{n}": [{"on": prefix, "may": ["claim", "read"]}] for n, prefix in enumerate(on)}
        named["last"] = [{"on": "way", "may": ["claim", "read"]}]
        named["ops"] = [{"on": "", "may": ["admin"]}]
        everybody = {f"client/{name}": [name] for name in named}
        members = {**everybody, "client/alice": ["ops", *named]}
        world.decide("n1", 1, encode(read(changed(roles=named, members=members, tokens={}))))
        world.run(1_000)
        assert world.obeyed() == {"n1": 1, "n2": 1, "n3": 1}
    return way_of_a_claim(world)


def test_a_cluster_without_a_policy_asks_little_more_than_one_that_obeys_none() -> None:
    more = len(governed_way(0).calls) - len(way_of_a_claim().calls)
    assert 0 < more <= MOST_WITHOUT_A_POLICY, governed_way(0)


def test_a_policy_adds_few_calls_to_a_claim() -> None:
    more = len(governed_way(ROLES).calls) - len(way_of_a_claim().calls)
    assert MOST_WITHOUT_A_POLICY < more <= MOST_WITH_A_POLICY, governed_way(ROLES)


def test_a_claim_costs_the_same_under_a_large_policy_as_under_a_small_one() -> None:
    assert len(governed_way(ROLES).calls) == len(governed_way(2).calls)
    assert len(governed_way(ROLES, deep=4).calls) == len(governed_way(2).calls)


def test_a_confirmation_is_looked_at_once_for_all_claims_of_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = GovernedWorld()
    world.run(1_000)
    looks: list[float] = []
    is_confirmed = Confirming.is_confirmed

    def noted(self: Confirming, now_ms: float) -> bool:
        looks.append(now_ms)
        return is_confirmed(self, now_ms)

    monkeypatch.setattr(Confirming, "is_confirmed", noted)
    requests = tuple(
        ClaimRequest(number, 5_000, True, claim(f"k{number}", b"v", f"id {number}".encode()))
        for number in range(1, 101)
    )
    for request in requests:
        world.answers[HOME, request.id] = []
    world.post(HOME, FromClient(1, requests, ALICE))
    world.settle()
    assert all(world.answers[HOME, request.id] for request in requests)
    assert len(looks) == 1
