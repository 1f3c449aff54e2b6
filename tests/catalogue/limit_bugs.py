"""Mistakes around limits and quotas: what counts together, where it is asked, and what is told."""

from .bug import Bug, Change

_CALLERS, _TAKING, _INBOX = (f"server/test_{name}.py" for name in ("callers", "taking", "inbox"))
_COMMITS = "replica/consensus/test_large_commits.py"
_QUOTAS = "replica/policy/test_quotas.py"
_DENIALS, _RATES = "server/test_denials.py", "server/test_rates.py"
_HANDSHAKES = "tls/test_connections.py"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(f"registry.{module}", old, new),), held_by=held_by)


_LIMITS = (
    _bug(
        "large values rest too little for three nodes that work for one caller",
        _CALLERS,
        "server.callers",
        "REST = 16.0\n",
        "REST = 3.0\n",
    ),
    _bug(
        "counting for quotas takes no rest",
        _QUOTAS,
        "replica.policy.quotas",
        "max(MIN_PAUSE_MS, step.now_ms - self._asked_ms)",
        "MIN_PAUSE_MS",
    ),
    _bug(
        "a large value is sent again with its commit",
        _COMMITS,
        "replica.consensus.coordinator",
        "large = len(decree.value) > LIGHT_BYTES",
        "large = False",
    ),
    _bug(
        "the commit of a large value names the ballot of its decree",
        _COMMITS,
        "replica.consensus.coordinator",
        "CommitMany(attempt.state.ballot, (decree.key,))",
        "CommitMany(decree.ballot, (decree.key,))",
    ),
    _bug(
        "a limit counts for each connection by itself",
        _CALLERS,
        "server.callers",
        "        caller = self._callers.get(who)\n",
        "        caller = None\n",
    ),
    _bug(
        "keys a second are charged after the work",
        _CALLERS,
        "server.callers",
        "                caller.keys -= 1\n",
        "                pass\n",
    ),
    _bug(
        "who comes again has a fresh second's worth of keys",
        _CALLERS,
        "server.callers",
        "return not self.connections and (rate is None or self.keys >= rate)",
        "return not self.connections",
    ),
    _bug(
        "keys gather for as long as nobody claims",
        _CALLERS,
        "server.callers",
        "            self.keys = min(rate, self.keys + rate * (now_ms - self.at_ms) / _SECOND_MS)\n",
        "            self.keys += rate * (now_ms - self.at_ms) / _SECOND_MS\n",
    ),
    _bug(
        "every address of a network of IPv6 is a caller of its own",
        _CALLERS,
        "addresses",
        "str(ip_network((address, 64), strict=False))",
        "host",
    ),
    _bug(
        "a new policy's limits are for those alone who come later",
        _CALLERS,
        "server.callers",
        "        for who, caller in self._callers.items():\n            self._bind(who, caller)\n",
        "",
    ),
    _bug(
        "what is over a limit is given to the node all the same",
        _TAKING,
        "server.client",
        "return [one for place, one in enumerate(requests) if place not in over]",
        "return requests",
    ),
    _bug(
        "a connection that is over a limit is read on",
        _TAKING,
        "server.client",
        "        self.paused_until_ms = self.callers.now_ms() + wait_ms\n",
        "",
    ),
    _bug(
        "who has most places keeps them all",
        _CALLERS,
        "server.clients",
        "if most is None or most.caller.connections <= caller.connections:",
        "if True:",
    ),
    _bug(
        "a turn is shared among connections",
        _INBOX,
        "server.inbox",
        "        return self._callers.get(connection, -connection)\n",
        "        return -connection\n",
    ),
    _bug(
        "one caller's work is not bounded beside others",
        _TAKING,
        "server.client",
        "                    if window <= 0:\n                        break\n",
        "",
    ),
    _bug(
        "waits count as work",
        _TAKING,
        "server.callers",
        "    **dict.fromkeys((WaitRequest, WatchRequest, LockRequest, HolderRequest), 0),\n",
        "",
    ),
    _bug(
        "two pages of the empty prefix are read at a time",
        _QUOTAS,
        "replica.policy.quotas",
        "if self._reads is not None or self._pausing is not None:",
        "if self._reads or self._pausing is not None:",
    ),
)

_OF_QUOTAS = (
    _bug(
        "a quota is asked where a claim is opened alone",
        _QUOTAS,
        "replica.consensus.attempt",
        "                each.judge(step, each.pending, each.claim)\n",
        "                pass\n",
    ),
    _bug(
        "a batch is proposed without a look at quotas",
        _QUOTAS,
        "replica.consensus.batches",
        "            if self.judging:\n",
        "            if False:\n",
    ),
    _bug(
        "a claim that has won is over the quota when it is repeated",
        _QUOTAS,
        "replica.requests.claims",
        "            self._refuse_if_new(step, pending, key, over)\n",
        "            self._requests.fail(step, pending, OverQuota, over)\n",
    ),
    _bug(
        "what is told again counts again",
        _QUOTAS,
        "replica.feed.learner",
        "        self._spread(step, known + fresh, fresh)\n",
        "        self._spread(step, known + fresh, fresh)\n"
        "        if self._quotas is not None and known:\n"
        "            self._quotas.on_new(known)\n",
    ),
    _bug(
        "the prefix of a quota is compared as text",
        _QUOTAS,
        "replica.policy.quotas",
        "        for prefix in prefixes(claim.key):\n",
        "        for prefix in [each for each in self.named if claim.key.startswith(each)]:\n",
    ),
    _bug(
        "what is learned while a page is read is lost to the count",
        _QUOTAS,
        "replica.policy.quotas",
        "            if decree.key not in shown:\n",
        "            if False:\n",
    ),
    _bug(
        "what a page shows is counted again if it was learned meanwhile",
        _QUOTAS,
        "replica.policy.quotas",
        "            if decree.key not in shown:\n",
        "            if True:\n",
    ),
    _bug(
        "everybody is told what others have used",
        _QUOTAS,
        "replica.status",
        "parts.quotas.uses(None if administers(parts, identity, wall_ms) else identity)",
        "parts.quotas.uses(None)",
    ),
)

_TOLD = (
    _bug(
        "each denial is told",
        _DENIALS,
        "server.denials",
        "        known.count += 1\n",
        "        return True\n",
    ),
    _bug(
        "who asks for many paths fills the log",
        _DENIALS,
        "server.denials",
        "        if self._paths[who] >= MOST_PATHS:\n",
        "        if False:\n",
    ),
    _bug(
        "unproven connections have the rate of their event alone",
        _RATES,
        "server.log",
        '    unsaid = UNPROVEN.ask(network_of(address.rpartition(":")[0]), time.monotonic())\n',
        "    unsaid = 0\n",
    ),
    _bug(
        "handshakes wait in one line",
        _HANDSHAKES,
        "server.handshakes",
        "        self._line.add(host, begins)\n",
        '        self._line.add("", begins)\n',
    ),
)

BUGS = _LIMITS + _OF_QUOTAS + _TOLD
