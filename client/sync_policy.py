"""The policies of a cluster for blocking code: the same calls as `Registry.policy` of the client."""

from typing import TYPE_CHECKING, ClassVar

from .requests.policies import PolicyClient, PolicyOutcome, PolicyVersion, Progress
from .runtime.copying import NotCopied

if TYPE_CHECKING:
    from ..registry.policy.document import Policy
    from .requests.arguments import Seconds
    from .sync import Registry


class BlockingPolicies(NotCopied):
    """The policies of a cluster, for blocking callers; made by `decreed.client.sync.Registry.policy`.

    Args:
        registry: the client.
    """

    instead: ClassVar[str] = PolicyClient.instead

    def __init__(self, registry: "Registry") -> None:
        self._registry = registry

    def latest(self, *, timeout: "Seconds | None" = None) -> PolicyVersion | None:
        """The newest policy; as `PolicyClient.latest`."""
        return self._registry.portal.run(lambda each: each.policy.latest(timeout=timeout))

    def version(self, number: int, *, timeout: "Seconds | None" = None) -> PolicyVersion | None:
        """The policy of a number; as `PolicyClient.version`."""
        return self._registry.portal.run(lambda each: each.policy.version(number, timeout=timeout))

    def history(
        self, *, limit: int | None = None, timeout: "Seconds | None" = None
    ) -> list[PolicyVersion]:
        """All policies, the oldest first; as `PolicyClient.history`."""
        return self._registry.portal.run(
            lambda each: each.policy.history(limit=limit, timeout=timeout)
        )

    def apply(
        self,
        document: "bytes | str | Policy",
        *,
        base: int,
        note: str = "",
        claim_id: bytes | str | None = None,
        claimant: str | None = None,
        timeout: "Seconds | None" = None,
        progress: Progress = lambda _: None,
    ) -> PolicyOutcome:
        """Apply a policy; as `PolicyClient.apply`, and `progress` is called in another thread."""
        return self._registry.portal.run(
            lambda each: each.policy.apply(
                document,
                base=base,
                note=note,
                claim_id=claim_id,
                claimant=claimant,
                timeout=timeout,
                progress=progress,
            )
        )
