"""Mistakes with messages that are repeated, or that come again or too late.

Storms rarely meet them, since they need several losses in a row.
"""

from .bug import Bug, Change


def _bug(name: str, held_by: str, *changes: tuple[str, str, str]) -> Bug:
    made = tuple(Change(module, old, new) for module, old, new in changes)
    return Bug(name, made, held_by=held_by)


_AGAIN_TESTS = "replica/requests/test_asked_again.py"
AGAIN = (
    _bug(
        "a read is asked for again once",
        _AGAIN_TESTS,
        (
            "registry.replica.requests.read_groups",
            "            self._ask(step, group, [n for n in self._node.others "
            "if n not in group.answered])\n",
            "            question = self._node.asking(Query(group.token, tuple(group.keys)))\n"
            "            step.broadcast(self._node.others, question)\n",
        ),
    ),
    _bug(
        "a question about a term is asked again once",
        _AGAIN_TESTS,
        (
            "registry.replica.locks.lease_queries",
            "            step.broadcast(missing, self._node.asking(queue.ask.question()))\n"
            "            step.ask_again(queue.ask.token, self._node.config.timing.resend_ms)\n",
            "            step.broadcast(missing, self._node.asking(queue.ask.question()))\n",
        ),
    ),
    _bug(
        "a keep-alive is repeated once",
        _AGAIN_TESTS,
        (
            "registry.replica.locks.renewals",
            "        step.broadcast(missing, self._node.asking(renewal.message))\n"
            "        step.ask_again(timer.token, self._node.config.timing.resend_ms)\n",
            "        step.broadcast(missing, self._node.asking(renewal.message))\n",
        ),
    ),
    _bug(
        "a give-up is repeated once",
        _AGAIN_TESTS,
        (
            "registry.replica.locks.giving_up",
            "        step.broadcast(missing, passing.message)\n"
            "        step.ask_again(timer.token, self._node.config.timing.resend_ms)\n",
            "        step.broadcast(missing, passing.message)\n",
        ),
    ),
    _bug(
        "a proposal is repeated once",
        _AGAIN_TESTS,
        (
            "registry.replica.consensus.coordinator",
            "                attempt.note_proposed()\n"
            "                self._set_resend(step, attempt)\n",
            "                attempt.note_proposed()\n"
            "                if not attempt.resends:\n"
            "                    self._set_resend(step, attempt)\n",
        ),
    ),
    _bug(
        "a batch is repeated and then forgotten",
        _AGAIN_TESTS,
        (
            "registry.replica.consensus.batches",
            "        step.broadcast(missing, batch.message())\n"
            "        self._set_resend(step, batch)\n",
            "        step.broadcast(missing, batch.message())\n",
        ),
    ),
    _bug(
        "a key in doubt is finished once",
        _AGAIN_TESTS,
        (
            "registry.replica.consensus.acceptor",
            "            self._unlearned[key] = (now_ms, waiting[1])\n",
            "            pass\n",
        ),
    ),
    _bug(
        "a postponed key is never due again",
        _AGAIN_TESTS,
        (
            "registry.replica.requests.recovery",
            "        for key in self._acceptors.overdue(before_ms, FINISH_AT_A_TIME):\n"
            "            self._acceptors.postpone(key, step.now_ms)\n",
            "        for key in self._acceptors.overdue(before_ms, FINISH_AT_A_TIME):\n"
            "            self._acceptors.postpone(key, 1e18)\n",
        ),
    ),
    _bug(
        "the sweeps end after a while",
        _AGAIN_TESTS,
        (
            "registry.replica.replica",
            "        step.timer(Sweep(), half_ms, half_ms)\n",
            "        if step.now_ms < 1_500:\n            step.timer(Sweep(), half_ms, half_ms)\n",
        ),
    ),
    _bug(
        "a page of a feed that is lost is never asked for again",
        _AGAIN_TESTS,
        (
            "registry.replica.feed.catchup",
            "        if pulling is not None and step.now_ms - pulling.asked_ms > PULL_TIMEOUT_MS:\n"
            "            self._lacking.on_late(peer)\n"
            "            self._forget(peer)\n"
            "            pulling = None\n",
            "",
        ),
    ),
    _bug(
        "the term at the floor is not read again after its reader is gone",
        _AGAIN_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "if queue.floor_for is None or queue.floor_for.done:",
            "if queue.floor_for is None:",
        ),
    ),
    _bug(
        "a queue sets no timer while the term at the floor is read",
        _AGAIN_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "            self._reads.read(step, key, queue.floor_for, then)\n"
            "        self._pause(step, queue, MAX_PAUSE_MS)\n",
            "            self._reads.read(step, key, queue.floor_for, then)\n",
        ),
    ),
    _bug(
        "a queue checks once whether a lease has run out",
        _AGAIN_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "            self._pause(step, queue, wait_ms)\n\n    def _pause",
            "            if not queue.serial:\n"
            "                self._pause(step, queue, wait_ms)\n\n    def _pause",
        ),
    ),
)

_STANDING_TESTS = "replica/consensus/test_late_promises.py"
CLASS_PROMISES = (
    _bug(
        "a promise to an earlier incarnation is counted",
        _STANDING_TESTS,
        (
            "registry.replica.consensus.home_promise",
            "        if message.ballot == self._state.ballot:\n            told = self",
            "        if message.ballot.process.node == self._node.name:\n            told = self",
        ),
    ),
    _bug(
        "any class promise is counted",
        _STANDING_TESTS,
        (
            "registry.replica.consensus.home_promise",
            "        if message.ballot == self._state.ballot:\n            told = self",
            "        if True:\n            told = self",
        ),
    ),
    _bug(
        "a second promise hides what the first reported",
        _STANDING_TESTS,
        (
            "registry.replica.consensus.home_promise",
            "self._told.setdefault(sender, message)",
            "self._told[sender] = message",
        ),
    ),
)

_FEED_TESTS = "replica/consensus/test_home_promise.py"
FEED = (
    _bug(
        "a promise counts before the feed it names is read",
        _FEED_TESTS,
        (
            "registry.replica.consensus.home_promise",
            "return sender == self._node.name or self._feeds.has_read_since_base(sender, feed_end)",
            "return True",
        ),
    ),
)

_LOST_TESTS = "replica/feed/test_watch_positions.py"
LOST = (
    _bug(
        "a position that was never sent is not lost",
        _LOST_TESTS,
        (
            "registry.replica.feed.watches",
            "            self._answer(step, pending, request, (), self._node.feed_end, lost=True)\n"
            "        else:",
            "            self._answer(step, pending, request, (), self._node.feed_end)\n        else:",
        ),
    ),
    _bug(
        "a watch whose feed cannot be read is not lost",
        _LOST_TESTS,
        (
            "registry.replica.feed.watches",
            "watch.request, (), self._node.feed_end, lost=True)",
            "watch.request, (), self._node.feed_end)",
        ),
    ),
    _bug(
        "a position on another disk is taken for ours",
        _LOST_TESTS,
        (
            "registry.replica.feed.watches",
            "return (since.node, since.feed) == (self._node.name, feed_of(self._node.identity))",
            "return since.node == self._node.name",
        ),
    ),
    _bug(
        "a position after the end is taken for the end",
        _LOST_TESTS,
        (
            "registry.replica.feed.watch_positions",
            "return index if known else None",
            "return min(index, node.feed_end) if incarnation <= node.identity.incarnation else None",
        ),
    ),
)

BUGS = AGAIN + CLASS_PROMISES + FEED + LOST
