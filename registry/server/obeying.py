"""What the server itself keeps to of a policy: whom it lets in (S36), and what each may use (S21).

It hears of a policy in the step in which the replica obeys it. What that step, and all before it, have
queued has not left yet, so nothing more leaves for those who are refused from then on.
"""

from ..audit import AuditRecord, Speaker, certificate_refused, token_refused
from ..policy.document import Policy
from ..replica.policy.policies import Policies
from ..types import NodeId
from .audit_log import AuditLog
from .clients import Clients
from .connections import Connection
from .node_loop import NodeLoop
from .securing import Securing


class Obeying:
    """Keeps a server to the policy of its node.

    Args:
        securing: refuses whom the policy refuses.
        clients: those that are connected.
        loop: what they and the peers have said waits there.
        audit: the audit log; None for none.
    """

    def __init__(
        self, securing: Securing, clients: Clients, loop: NodeLoop, audit: AuditLog | None
    ) -> None:
        self._securing, self._clients = securing, clients
        self._loop, self._audit = loop, audit

    def begin(self, policies: Policies) -> None:
        """Keep to the policy that the node knows when it starts, before a connection is taken."""
        if policies.enforced is not None:
            self.obey(policies.enforced, policies.obeyed)

    def obey(self, policy: Policy, number: int) -> None:
        """Keep to a policy from now on."""
        self._clients.callers.obey(policy.limits)
        cut = self._securing.admitted.obey(policy, number)
        if not cut:
            return
        if self._audit is not None:
            speakers = [Speaker(str(each.identity), each.peer_name) for each in cut]
            self._audit.write([_refused(each, number) for each in cut], speakers)
        peers = {NodeId(each.identity.name) for each in cut if each.identity.kind == "node"}
        self._loop.forget(self._clients.leave(set(cut)), peers)


def _refused(cut: Connection, policy: int) -> AuditRecord:
    """What is told of a connection that a policy has cut."""
    if cut.identity.digest:
        return token_refused(policy)
    return certificate_refused(str(cut.certified or cut.identity), policy)
