"""What a new policy changes, in lines for people."""

from typing import Any

from hypothesis import given

from decreed.registry.policy.difference import EMPTY, difference

from .samples import SMALL, changed, documents, few, read


def test_the_first_policy_is_all_new() -> None:
    assert difference(EMPTY, read(SMALL)) == (
        "+ role deploy: claim, lock on prod/app",
        "+ role ops: read, admin on everything",
        "+ client/alice has role ops",
        "+ token/ci has role deploy",
        "+ token ci (sha256 abababab…) until 2027-02-01T00:00:00Z",
        "+ client/alice gains read, admin on everything",
        "+ token/ci gains claim, lock on prod/app",
    )


def test_a_changed_role_is_told_for_each_member() -> None:
    roles = {**SMALL["roles"], "deploy": [{"on": "prod/app", "may": ["lock"]}]}
    assert difference(read(SMALL), read(changed(roles=roles))) == (
        "- role deploy: claim, lock on prod/app",
        "+ role deploy: lock on prod/app",
        "- token/ci loses claim on prod/app",
    )


def test_s36_a_node_that_is_refused_loses_its_links_and_that_is_said() -> None:
    refused = changed(refused=["node/n2", "serial:1f"])
    assert difference(read(SMALL), read(refused)) == (
        "+ refused node/n2",
        "+ refused serial:1f",
        "- node/n2 loses its links to all other nodes",
    )
    assert (
        difference(read(refused), read(SMALL))[-1] == "+ node/n2 may be linked to other nodes again"
    )


def test_who_is_refused_loses_what_it_has() -> None:
    before = changed(members={**SMALL["members"], "client/bob": ["deploy"]})
    assert difference(read(before), read({**before, "refused": ["client/bob"]})) == (
        "+ refused client/bob",
        "- client/bob loses claim, lock on prod/app",
    )


def test_limits_quotas_and_reads_at_a_node_that_is_cut_off() -> None:
    roles = {**SMALL["roles"], "see": [{"on": "s", "may": ["read"], "when_cut_off": "refuse"}]}
    after = changed(
        roles=roles,
        limits={"anyone": {"connections": 9}},
        quotas=[{"on": "", "of": "anyone", "keys": 5}],
    )
    assert difference(read(SMALL), read(after)) == (
        "+ role see: read on s, and no reads at a node that is cut off",
        "+ limit of anyone: connections 9",
        "+ quota of anyone on everything: keys 5",
    )


@few
@given(documents(), documents())
def test_there_are_lines_exactly_if_the_policies_differ(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    before, after = read(one), read(other)
    lines = difference(before, after)
    assert bool(lines) == (before != after)
    reverse = difference(after, before)
    assert sorted(line[2:].replace("gains", "loses") for line in lines) == sorted(
        line[2:].replace("gains", "loses") for line in reverse
    )
