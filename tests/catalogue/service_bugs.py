"""Mistakes in answers to clients and peers: reads, lists, watches, claims, feeds, membership.

The model has none of these, so storms and the judge must catch the mistakes.
"""

from .bug import Bug, Change

_SEEDS = 100
_TESTS = 2_000


def _bug(
    name: str,
    module: str,
    old: str,
    new: str,
    seeds: int | None = _SEEDS,
    trials: int | None = None,
    tests: int | None = None,
) -> Bug:
    change = Change(f"registry.replica.{module}", old, new)
    return Bug(name, (change,), None, seeds, trials, tests=tests)


READING = (
    _bug(
        "read of undecided without a quorum",
        "requests.read_groups",
        "if not self._node.quorums.prepared(group.answered):",
        "if not group.answered:",
        trials=50,
    ),
    _bug(
        "undecided is answered in spite of an acceptance",
        "requests.read_groups",
        "accepted = self._take_out(group, answer.accepted)",
        "accepted = ()",
        trials=300,
    ),
    _bug(
        "an accepted value is served as if it were chosen",
        "requests.reads",
        "            self._follow(step, key, pending, then)\n        else:\n",
        "            then(step, instance.accepted.decree)\n        else:\n",
        trials=300,
    ),
    _bug(
        "a read counts promises that are older than itself",
        "consensus.attempt",
        "[f for f in self.followers if f.joined < self.ballots]",
        "list(self.followers)",
        None,  # storms meet it once in a thousand seeds or more
        tests=_TESTS,
    ),
    _bug(
        "a read that joins after a nack counts promises that are older than itself",
        "consensus.coordinator",
        "Follower(pending, then, attempt.ballots)",
        "Follower(pending, then, 0 if attempt.preemptions else attempt.ballots)",
        None,  # rarer still
        tests=_TESTS,
    ),
    _bug(
        "an acceptance is not reported after a higher promise",
        "requests.reads",
        "            elif instance.accepted is not None:\n                accepted.append",
        "            elif instance.accepted and instance.promised == instance.accepted.ballot:\n"
        "                accepted.append",
        600,
    ),
    _bug(
        "an answer to an earlier incarnation is counted",
        "step.tokens",
        "return (self._incarnation << TOKEN_BITS) | self._last",
        "return self._last",
        None,  # storms meet it once in hundreds of seeds
        tests=_TESTS,
    ),
    _bug(
        "list from one node",
        "requests.lists",
        "if not self._node.quorums.prepared(self._voters(read, read.answers.keys())):",
        "if not read.answers:",
        trials=20,
    ),
    _bug(
        "a list leaves out keys in doubt",
        "requests.list_read",
        "self.unsettled = unlearned - self.decrees.keys()",
        "self.unsettled = set()",
        trials=100,
    ),
    _bug(
        "a list's page goes further than one of its answers",
        "requests.list_read",
        "self.horizon = horizon(self.answers.values())",
        "self.horizon = None",
        400,
    ),
    _bug(
        "a span counts as equal though a key in it is accepted that the requester does not know",
        "requests.spans",
        "if _is_settled(rows) and _digest(rows) == span.digest:",
        "if _digest(rows) == span.digest:",
        tests=_TESTS,
    ),
    _bug(
        "a span counts as equal if it has no more than the requester has",
        "requests.spans",
        "_digest(rows) == span.digest:",
        "(_digest(rows) == span.digest or not rows or len(rows) == 2):",
        tests=_TESTS,
    ),
    _bug(
        "an answer that ends early is taken for a complete one",
        "requests.spans",
        "return answer_of(id, self._told, self._cut_at)",
        "return answer_of(id, self._told, None)",
        None,  # the page is cut there as well, unless its bytes fill it
        tests=_TESTS,
    ),
    _bug(
        "a page continues after the last key that the peers were asked about",
        "requests.lists",
        "end = None if complete else read.rows[-1][0]",
        "end = None",
        tests=_TESTS,
    ),
    _bug(
        "an answer to another page is counted",
        "requests.lists",
        "        read = self._reads.get(answer.id)\n"
        "        if read is not None and not read.merged and",
        "        read = next((r for r in self._reads.values() if not r.merged), None)\n"
        "        if read is not None and not read.merged and",
        tests=_TESTS,
    ),
    _bug(
        "a list is given a page that was read before it arrived",
        "requests.lists",
        "        read = self._waiting.setdefault(question, ListRead(question))",
        "        begun = (r for r in self._reads.values() if r.question == question)\n"
        "        read = next(begun, None) or self._waiting.setdefault(question, ListRead(question))",
        None,  # a key must be chosen in the middle of a page that two requests share
        tests=_TESTS,
    ),
    _bug(
        "commits are held back from a node where somebody watches",
        "parts",
        "return bool(self.watches.parked) or self.reads.awaits_decrees",
        "return self.reads.awaits_decrees",
        None,  # it is late then, and not wrong
        tests=_TESTS,
    ),
    _bug(
        "a claim that was passed on is said to be over when the disk fails",
        "replica",
        "unknown = pending.indefinite or pending.passed_to is not None",
        "unknown = pending.indefinite",
        None,  # it must be with another node when the disk of this one fails
        tests=_TESTS,
    ),
    _bug(
        "a request that leaves a page ends it for all that share it",
        "requests.lists",
        ("        if read.requests:\n            return\n"),
        "",
        None,  # the answer is late, but right
        tests=_TESTS,
    ),
    _bug(
        "a scan that is lost twice is never asked for again",
        "requests.lists",
        "if node not in read.answers])\n        step.ask_again(read.token, self._timeout_ms(read))",
        "if node not in read.answers])",
        None,  # the request still ends in time
        tests=_TESTS,
    ),
    _bug(
        "a scan is served after its deadline",
        "requests.scan_service",
        "return current and step.now_ms <= served.deadline_ms",
        "return True",
        None,  # it costs only time
        tests=_TESTS,
    ),
    _bug(
        "a watch that is cut short skips the rest",
        "feed.watches",
        "return tuple(d for _, d in found[:count]), index",
        "return tuple(d for _, d in found[:count]), end",
    ),
    _bug(
        "a position that a crash may take is sent to a watch as durable",
        "feed.watch_positions",
        "    if ahead <= 0:\n",
        "    if True:\n",
    ),
    _bug(
        "a watch continues after entries that a crash has taken",
        "feed.watch_positions",
        "index = min(durable + ahead, node.found_feed_end)",
        "index = min(durable + ahead, node.feed_end)",
        seeds=None,
        tests=_TESTS,
    ),
    _bug(
        "a position from two incarnations ago is taken as it is",
        "feed.watch_positions",
        "    else:\n        index = durable\n",
        "    else:\n        index = min(durable + ahead, node.found_feed_end)\n",
        seeds=None,
        tests=_TESTS,
    ),
)

CLAIMING = (
    _bug(
        "claim id ignored on retry",
        "requests.claims",
        "and decree.claim_id != pending.claim_id:",
        "and True:",
        trials=20,
    ),
    _bug(
        "a claim of the next slot takes one that another won",
        "requests.claims",
        "if isinstance(pending.request, ClaimNextRequest) and",
        "if False and",
        trials=20,
    ),
    _bug(
        "a slot is proposed over a gap", "requests.claims", "if before is None or (", "if True or ("
    ),
    _bug(
        "a claim that was forwarded and lost is called definite",
        "requests.claims",
        "                pending.indefinite = True\n",
        "                pending.indefinite = False\n",
        400,
    ),
    _bug(
        "an error after an indefinite try is definite",
        "step.pending",
        "if pending.claim_id is not None and indefinite and error.definite:",
        "if False:",
        1_500,
    ),
)

KNOWING = (
    _bug(
        "the cursor moves past missing keys",
        "feed.catchup",
        "if pulling.missing or pulling.floors",
        "if pulling.floors",
    ),
    _bug(
        "feeds are not read",
        "feed.catchup",
        "        if pulling is None and has_more:",
        "        if False and has_more:",
    ),
    _bug(
        "of decrees that were fetched together only the first is learned",
        "feed.learner",
        "self.learn_told(step, message.decrees)",
        "self.learn_told(step, message.decrees[:1])",
    ),
    _bug(
        "of the requests of a frame only the first is handled",
        "client_requests",
        "        for request in requests:\n            if self._rejudged",
        "        for request in requests[:1]:\n            if self._rejudged",
    ),
    Bug(
        "keys in doubt are not found again at a start",
        (
            Change(
                "storage.store",
                "            unlearned=unlearned,\n",
                "            unlearned=(),\n",
            ),
        ),
        seeds=_SEEDS,
    ),
    Bug(
        "a row that belongs on a page is on no page",
        (
            Change(
                "storage.store",
                "JournalPage(noted, tuple(held.values()))",
                "JournalPage((*noted, *held))",
            ),
        ),
        seeds=_SEEDS,
    ),
    Bug(
        "a record that cannot be read is taken for one that is not there",
        (
            Change(
                "storage.store",
                "            return DamagedInstance("
                "str(damaged(stored, self._data.where, str(error))))\n",
                "            return Instance()\n",
            ),
        ),
        seeds=_SEEDS,
    ),
    Bug(
        "a row that cannot be read at a start is no longer held",
        (
            Change(
                "storage.inline",
                "return found is held or isinstance(found, DamagedInstance)",
                "return found is held",
            ),
        ),
        seeds=600,  # it takes a disk that cannot read and then can, and a node that starts between
    ),
    Bug(
        "a page is written over before what made it free is on disk",
        (
            Change(
                "storage.pending_journal", "self._emptied.append(page)", "self._free.append(page)"
            ),
        ),
        tests=100,  # it takes a crash between two batches of records without a waiter
    ),
    Bug(
        "a disk takes writes again after one that failed",
        (
            Change(
                "storage.store",
                "        if self._failure is not None:\n"
                "            raise errors.StorageFailed(self._failure)\n",
                "        pass\n",
            ),
            Change(
                "registry.replica.step.node",
                "            self.failed, self.remedy = reason, remedy or self.remedy\n",
                "            pass\n",
            ),
        ),
        seeds=_SEEDS,
    ),
    Bug(
        "starts are not counted",
        (Change("storage.identity", "identity.incarnation + 1", "max(identity.incarnation, 1)"),),
        seeds=_SEEDS,
    ),
    Bug(
        "a wiped node that votes again",
        (
            Change(
                "registry.replica.peer_memory",
                'known = self._peers.get(shown.node)\n        if known is None:\n            return ""',
                "known = self._peers.get(shown.node)\n"
                '        if known is None or shown.disk_id != known.disk_id:\n            return ""',
            ),
        ),
        None,
        _SEEDS,
        100,
    ),
    _bug(
        "a wiped node votes before any peer has checked it",
        "membership",
        "not self._confirmed.issuperset(node.others)",
        "not self._confirmed.union(self._memory._peers).issuperset(node.others)",
        None,
        100,
    ),
    _bug(
        "a past incarnation counts as shown whatever its nonce",
        "peer_memory",
        "past.nonce != known.nonce",
        "past is shown",
        300,
    ),
    _bug(
        "a later incarnation need not show its past",
        "peer_memory",
        "if known is None or shown.nonce == known.nonce or",
        "if known is None or shown.incarnation >= known.incarnation or",
        300,
    ),
)

BUGS = READING + CLAIMING + KNOWING
