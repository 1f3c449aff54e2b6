"""A claim goes through the core without a detour: few files, few functions, few changes of room.

`make calls` prints what it visits. The numbers are the same in every run and on every machine.
"""

from ..support.calls import way_of_a_claim

MOST_FILES = 20
MOST_FUNCTIONS = 80
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
