"""Mistakes with messages for which nobody waits: which they are, and how long they do."""

from .bug import Bug, Change

_MESSAGES = "replica/test_patience.py"
_LOOP = "server/test_patience.py"
_LINKS = "server/test_unhurried.py"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


BUGS = (
    _bug(
        "a vote that an attempt counts waits for others",
        _MESSAGES,
        "registry.replica.patience",
        "return not _is_tried(parts, (message.key,))",
        "return True",
    ),
    _bug(
        "a vote on a batch in flight waits for others",
        _MESSAGES,
        "registry.replica.patience",
        "return message.number not in parts.coordinator.batches.numbers",
        "return not message.refused",
    ),
    _bug(
        "a commit waits though somebody watches",
        _MESSAGES,
        "registry.replica.patience",
        "return parts.awaits_commits or _is_tried(parts, keys)",
        "return _is_tried(parts, keys)",
    ),
    _bug(
        "a commit waits though its key is claimed here",
        _MESSAGES,
        "registry.replica.patience",
        "return parts.awaits_commits or _is_tried(parts, keys)",
        "return parts.awaits_commits",
    ),
    _bug(
        "a commit of a term waits for others",
        _MESSAGES,
        "registry.replica.patience",
        "not (is_term(message.key) or _is_awaited(parts, (message.key,)))",
        "not _is_awaited(parts, (message.key,))",
    ),
    _bug(
        "what nobody waits for waits until somebody comes",
        _LOOP,
        "registry.server.node_loop",
        "self._patient_ms = min(self._patient_ms, self.now_ms() + wait_ms)",
        "self._patient_ms = math.inf",
    ),
    _bug(
        "each message that nobody waits for puts off the one before",
        _LOOP,
        "registry.server.node_loop",
        "self._patient_ms = min(self._patient_ms, self.now_ms() + wait_ms)",
        "self._patient_ms = self.now_ms() + wait_ms",
    ),
    _bug(
        "a loop that sleeps is not told how long a message may wait",
        _LOOP,
        "registry.server.node_loop",
        "*(self._chore_ms, self._own_ms, self._patient_ms, self._deferred_ms),",
        "*(self._chore_ms, self._own_ms, self._deferred_ms),",
    ),
    _bug(
        "a peer waits for room that patient messages take",
        _LOOP,
        "registry.server.inbox",
        "        self._calls = self._calls or not self._others_room.is_left\n",
        "",
    ),
    _bug(
        "a commit of a single key waits as long as that of a batch",
        _LINKS,
        "registry.server.links",
        "outbound_link.wait_ms = min(outbound_link.wait_ms, wait_ms)",
        "outbound_link.wait_ms = wait_ms",
    ),
)
