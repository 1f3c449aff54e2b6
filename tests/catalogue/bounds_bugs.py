"""Mistakes in the bounds of the memory, lists, time and log lines that clients can take."""

from .bug import Bug, Change


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


_CROWD = "server/test_crowd.py"
_MANY = "replica/requests/test_many_who_wait.py"
_CALLED_OFF = "replica/requests/test_called_off.py"
_STRANGERS = "server/test_strangers.py"
_INCOMING = "server/test_incoming.py"

WAITING = (
    _bug(
        "pending requests are not bounded for the whole node",
        _CROWD,
        "registry.server.serve",
        "        self.loop.crowded = self._clients.crowded\n",
        "",
    ),
    _bug(
        "the client of the newest request is refused, however few it has",
        _CROWD,
        "registry.server.crowd",
        "given = fair(wanted, self._max_bytes, caller_of)",
        "given = {n: min(size, self._max_bytes // 2) for n, size in wanted.items()}",
    ),
    _bug(
        "the requests of a client that is gone count forever",
        "server/test_taking.py",
        "registry.server.client",
        "        self.crowd.go(self.held)\n",
        "",
    ),
    _bug(
        "answered requests count forever",
        _CROWD,
        "registry.server.client",
        "self.crowd.take(self.held, -len(answers), -lighter)",
        "self.held.requests -= len(answers)",
    ),
    _bug(
        "clients that are being welcomed are not counted",
        _CROWD,
        "registry.server.clients",
        "len(self._clients) + self._arriving",
        "len(self._clients)",
    ),
    _bug(
        "the oldest requests are refused",
        _CROWD,
        "registry.replica.step.pending",
        "islice(reversed(self._by_origin.get(origin, {})), count)",
        "islice(self._by_origin.get(origin, {}), count)",
    ),
    _bug(
        "reads of the disk stay when their request is over",
        _CALLED_OFF,
        "registry.replica.client_requests",
        (
            "        self._parts.reads.leave(step, pending)\n"
            "        self._parts.watches.leave(step, pending)\n"
        ),
        "",
    ),
    _bug(
        "a lock queue that nobody waits in is looked for on the disk",
        _CALLED_OFF,
        "registry.replica.locks.latest_terms",
        "            self._node.tokens.call_off(step, queue.searching)\n",
        "",
    ),
    _bug(
        "a read that was called off keeps its place in line",
        "server/test_reading.py",
        "registry.server.reading",
        "            self._line.discard(self._requesters.pop(token), read)\n",
        "            pass\n",
    ),
    _bug(
        "nothing is ever called off",
        "server/test_reading.py",
        "registry.server.node_loop",
        "            self._readers.call_off(token)\n",
        "            pass\n",
    ),
    _bug(
        "the end of one request takes the id of another",
        _MANY,
        "registry.replica.step.pending",
        (
            "        if self._by_id.get(place := (pending.origin, pending.request.id)) is pending:\n"
            "            del self._by_id[place]\n"
        ),
        "        self._by_id.pop((pending.origin, pending.request.id), None)\n",
    ),
    _bug(
        "what is answered is kept until its time would have run out",
        _MANY,
        "registry.replica.step.pending",
        "            bucket.pop(pending, None)\n",
        "            pass\n",
    ),
    _bug(
        "a free lock is proposed when something else happens",
        "replica/locks/test_lock_hand_over.py",
        "registry.replica.replica",
        (
            "        if self.parts.lock_queues.joined:\n"
            "            self.parts.lock_queues.end_turn(step)\n"
            "        self._coordinator.propose_due(step)\n"
        ),
        (
            "        self._coordinator.propose_due(step)\n"
            "        if self.parts.lock_queues.joined:\n"
            "            self.parts.lock_queues.end_turn(step)\n"
        ),
    ),
    _bug(
        "a peer's long fetch loads all that it names",
        "replica/feed/test_catchup.py",
        "registry.replica.peer_messages",
        "lambda m: m.keys[:SERVE_KEYS]",
        "lambda m: m.keys",
    ),
    _bug(
        "who left a lock queue is counted among those who wait",
        _MANY,
        "registry.replica.locks.lock_queue",
        "            self.queued -= queues(pending)\n",
        "",
    ),
    _bug(
        "the claim ids of those who left a lock queue are kept",
        _MANY,
        "registry.replica.locks.lock_queue",
        "            self._forget_claim(pending)\n",
        "",
    ),
    _bug(
        "claims that were passed on are kept when nobody waits for them",
        "replica/requests/test_passing_on.py",
        "registry.replica.requests.claims",
        "for request_id in [i for i, pending in self._passed.items() if pending.done]:",
        "for request_id in list[int]():",
    ),
    _bug(
        "a wiped directory goes on trying at a node that has not formed",
        "replica/test_unformed.py",
        "registry.replica.membership",
        "if shown.formation and not self._node.formed:",
        "if not self._node.formed:",
    ),
    _bug(
        "a claim is routed again under a later request's id",
        _MANY,
        "registry.replica.requests.claims",
        "if pending is None or pending.request != event.request:",
        "if pending is None:",
    ),
    _bug(
        "a search of one series answers a later request about another",
        _MANY,
        "registry.replica.requests.reads",
        "if slot is None or series != pending.request.series:",
        "if slot is None:",
    ),
    _bug(
        "a claim that may be chosen is refused as if it were not",
        _MANY,
        "registry.replica.step.pending",
        "        if pending.indefinite or pending.passed_to is not None:\n            self.fail(step",
        "        if pending.indefinite:\n            self.fail(step",
    ),
    _bug(
        "of requests with the same id, only the last ends with its client",
        _MANY,
        "registry.replica.step.pending",
        "        requests = list(self._by_origin.get(origin, {}))\n",
        "        requests = [one for (who, _), one in self._by_id.items() if who == origin]\n",
    ),
    _bug(
        "a client's lists wait before those of all later clients",
        _MANY,
        "registry.replica.step.in_turn",
        "self._lines[requester] = line",
        "self._lines[requester] = line\n            self._lines.move_to_end(requester, last=False)",
    ),
    _bug(
        "a request that leaves a queue checks all others",
        _MANY,
        "registry.replica.locks.lock_queues",
        "        queue.leave(pending)\n        if not",
        "        queue.drop_finished()\n        if not",
    ),
    _bug(
        "a queue acts for each request that joins",
        _MANY,
        "registry.replica.locks.lock_queues",
        "            self.joined[request.lock] = None\n",
        "            self._go_on(step, queue)\n",
    ),
    _bug(
        "a node that has not formed ends those that have",
        "replica/test_unformed.py",
        "registry.replica.membership",
        "if shown.formation and not self._node.formed:",
        "if shown.formation is None:",
    ),
)

SHARING = (
    _bug(
        "the newest of the silent connections is dropped first",
        _STRANGERS,
        "registry.server.doorway",
        "next(iter(self._silent))",
        "next(reversed(self._silent))",
    ),
    _bug(
        "waiting answers are not bounded for the whole node",
        _STRANGERS,
        "registry.server.clients",
        "while self._backlog.is_over:",
        "while False:",
    ),
    _bug(
        "the client with the fewest answers is dropped",
        _STRANGERS,
        "registry.server.clients",
        "largest = max(self._clients.values(), key=_SIZE)",
        "largest = min(self._clients.values(), key=_SIZE)",
    ),
    _bug(
        "a value that waits for several clients counts for each",
        "server/test_pieces.py",
        "registry.server.backlog",
        "self.held += len(item.data) if item.holders == 1 else 0",
        "self.held += len(item.data)",
    ),
    _bug(
        "a stranger changes the status of a member",
        "replica/test_membership.py",
        "registry.replica.membership",
        "step.at_once(Reject(link, shown.node, Refusal(Refused.code, stranger)))",
        "self._refuse(step, link, shown.node, Refused, stranger)",
    ),
    _bug(
        "a probe of the port logs a warning",
        _STRANGERS,
        "registry.server.connections",
        'raise NothingSaid("the connection was closed before a greeting came")',
        'raise ProtocolError("the connection was closed before a greeting came")',
    ),
    _bug(
        "a whole frame is dropped as if it were late",
        _INCOMING,
        "registry.server.incoming",
        "if not f.whole and f.late_s() > GRACE_S",
        "if f.late_s() > GRACE_S",
    ),
    _bug(
        "large frames are not bounded",
        _INCOMING,
        "registry.server.incoming",
        "return not self._frames or self.held + size <= self._max_bytes",
        "return True",
    ),
    _bug(
        "a step gives each client the share of a single client",
        "server/test_inbox.py",
        "registry.server.shares",
        "fair = max(1, most // (len(waiting) - rank))",
        "fair = most",
    ),
    _bug(
        "a client without pending requests waits after others",
        "server/test_inbox.py",
        "registry.server.inbox",
        "return self._asked_room.is_left or connection not in self._askers",
        "return self._asked_room.is_left",
    ),
    _bug(
        "lines that strangers cause are not limited",
        "server/test_rates.py",
        "registry.server.rates",
        "if said.left < 1:",
        "if said.left < -1e9:",
    ),
    _bug(
        "lines for a reader that has stopped are kept without bound",
        "cli/shell/test_unblocking.py",
        "cli.shell.unblocking",
        "if self._chars + len(text) > self._max_chars:",
        "if len(text) > self._max_chars:",
    ),
    _bug(
        "the count of lost log lines is not logged",
        "cli/shell/test_unblocking.py",
        "cli.shell.unblocking",
        "            if self._lost:\n",
        "            if False:\n",
    ),
    _bug(
        "a scan that is no longer wanted is made",
        "replica/requests/test_scans.py",
        "registry.replica.requests.scans",
        "            scan = self._waiting.popleft()\n            if scan.wanted(step):",
        "            scan = self._waiting.popleft()\n            if True:",
    ),
    _bug(
        "a span with a key that is only accepted counts as equal",
        "replica/requests/test_spans.py",
        "registry.replica.requests.spans",
        "if _is_settled(rows) and _digest(rows) == span.digest:",
        "if _digest(rows) == span.digest:",
    ),
)

DISK = (
    _bug(
        "the log in use at the last edit is not noticed as missing",
        "storage/test_continuity.py",
        "storage.continuity",
        "if not any(edits.log <= number < edits.next_file for number, _ in logs):",
        "if False:",
    ),
    _bug(
        "a database that lost rows before its mark is opened",
        "storage/test_continuity.py",
        "storage.continuity",
        "    if reached < mark.sequence:\n",
        "    if False:\n",
    ),
    _bug(
        "a hole between two logs is not seen",
        "storage/test_continuity.py",
        "storage.continuity",
        "if first > covered + 1 if reached is None else first != reached + 1:",
        "if False:",
    ),
    _bug(
        "a missing log is not noticed by its number",
        "storage/test_continuity.py",
        "storage.continuity",
        "    if newest < mark.log:\n",
        "    if False:\n",
    ),
    _bug(
        "a torn log may be followed by another that holds rows",
        "storage/test_continuity.py",
        "storage.continuity",
        "if torn is not None and verdict.records:",
        "if False:",
    ),
)

BUGS = WAITING + SHARING + DISK
