"""Applying a policy that takes the right to do so from the one who applies it."""

import json
from typing import Any

import pytest

from decreed.client import connect
from decreed.registry.errors import Denied
from decreed.registry.policy.series import claim_of
from decreed.registry.types import Ballot, Decree, NodeId, Process
from decreed.registry.wire.requests import Failed, PolicyApplied, PolicyRequest

from ..fakes import AsUsual, FakeNode, cluster_of

pytestmark = pytest.mark.anyio
POLICY = json.dumps(
    {
        "format": 1,
        "roles": {"ops": [{"on": "", "may": ["admin"]}]},
        "members": {"client/carol": ["ops"]},
    }
)
BALLOT = Ballot(1, Process(NodeId("n1"), 1))


def applied(request: PolicyRequest) -> PolicyApplied:
    words = request.claimant, request.claim_id, request.note
    decree = Decree.of(claim_of(request.base, request.document, *words), BALLOT, 0)
    return PolicyApplied(request.id, decree, False, (NodeId("n3"),))


async def test_who_has_given_up_admin_is_told_at_once_and_asks_no_more() -> None:
    """Each further question would be a denial in the audit log, until the time is up."""
    async with cluster_of(3) as cluster:
        asked = list[str]()

        def script(node: FakeNode, request: Any) -> Any:
            if not isinstance(request, PolicyRequest):
                return AsUsual
            asked.append(node.name)
            denied = Failed(request.id, Denied.code, "'admin' is not granted to client/alice")
            return applied(request) if len(asked) == 1 else denied

        for node in cluster.nodes:
            node.script = script
        async with connect(*cluster.endpoints) as registry:
            outcome = await registry.policy.apply(POLICY, base=0, timeout=3_600)
        assert (outcome.won, outcome.in_force, outcome.missing) == (True, False, ("n3",))
        assert len(asked) == 2
