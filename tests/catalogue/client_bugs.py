"""Mistakes in the client: definite errors, the cache, and the position of a watch."""

from .bug import Bug, Change


def _bug(name: str, held_by: str, *changes: tuple[str, str, str]) -> Bug:
    made = tuple(Change(module, old, new) for module, old, new in changes)
    return Bug(name, made, held_by=held_by)


_DEFINITE_TESTS = "client/requests/test_definite.py"
_LAST_TRY_TESTS = "client/requests/test_last_try.py"
DEFINITE = (
    _bug(
        "a claim is sent again though its answer may be late",
        _LAST_TRY_TESTS,
        (
            "client.requests.attempt",
            "if link is not None and self._tries and self._is_too_late(now):",
            "if False:",
        ),
    ),
    _bug(
        "a claim at a silent node is definitely refused",
        _DEFINITE_TESTS,
        (
            "client.requests.attempt",
            "        if claim and (self._doubtful or written) and not",
            "        if claim and self._doubtful and not",
        ),
    ),
    _bug(
        "a claim that was cut off is definitely refused",
        _DEFINITE_TESTS,
        (
            "client.requests.attempt",
            "self._fault(in_flight.link, news.error, in_flight.written_at is not None, now)",
            "self._fault(in_flight.link, news.error, False, now)",
        ),
    ),
    _bug(
        "an indefinite error is taken for definite",
        _DEFINITE_TESTS,
        (
            "client.requests.attempt",
            "self._fault(in_flight.link, error, not error.definite, now)",
            "self._fault(in_flight.link, error, False, now)",
        ),
    ),
    _bug(
        "an answer that does not fit is taken for a refusal",
        _DEFINITE_TESTS,
        (
            "client.requests.attempt",
            "            self._fault(in_flight.link, error, True, now)\n",
            "            self._fault(in_flight.link, error, False, now)\n",
        ),
    ),
    _bug(
        "a definite refusal ends an earlier doubt",
        _DEFINITE_TESTS,
        (
            "client.requests.attempt",
            "self._doubtful = self._doubtful or doubtful",
            "self._doubtful = doubtful",
        ),
    ),
    _bug(
        "every refusal leaves a claim in doubt",
        _DEFINITE_TESTS,
        (
            "client.requests.attempt",
            "self._doubtful = self._doubtful or doubtful",
            "self._doubtful = True",
        ),
    ),
    _bug(
        "a decree of another key settles a claim",
        _DEFINITE_TESTS,
        (
            "client.requests.attempt",
            "return not isinstance(news, Decreed) or self._operation.fits(news.decree)",
            "return True",
        ),
    ),
    _bug(
        "a read is in doubt",
        _DEFINITE_TESTS,
        (
            "client.requests.attempt",
            "        self.withdraw()\n        claim = self._operation.claim\n",
            "        self.withdraw()\n"
            "        claim = self._operation.claim\n"
            "        if not claim and (self._doubtful or written):\n"
            "            error = OutcomeUnknown(str(error))\n",
        ),
    ),
    _bug(
        "an unknown error is definite",
        _DEFINITE_TESTS,
        (
            "registry.errors",
            "return ERRORS.get(code, OutcomeUnknown)",
            "return ERRORS.get(code, Unreachable)",
        ),
    ),
    _bug(
        "it is not remembered that a term may be decreed",
        _DEFINITE_TESTS,
        (
            "client.locks.acquiring",
            "            self._doubt, self._doubted = result, link\n",
            "            self._doubted = link\n",
        ),
    ),
    _bug(
        "held is answered though a term may be decreed",
        _DEFINITE_TESTS,
        (
            "client.locks.acquiring",
            "        if not given_up:\n            return self._unknown(error)\n",
            "        if not given_up:\n            return error\n",
        ),
    ),
)

_FORMATIONS_TESTS = "client/caching/test_new_formations.py"
FORMATIONS = (
    _bug(
        "a late answer of an earlier formation is cached",
        _FORMATIONS_TESTS,
        (
            "client.caching.cache",
            "        if formation is None or formation != self.formation:\n            return\n",
            "        if formation is None:\n            return\n",
        ),
    ),
    _bug(
        "an answer is cached for the formation of today",
        _FORMATIONS_TESTS,
        (
            "client.requests.sender",
            "        self.cache.put(reply.welcome.formation, decree)\n        return decree\n",
            "        self.cache.put(self.cache.formation, decree)\n        return decree\n",
        ),
    ),
    _bug(
        "entries read from disk meanwhile count for any formation",
        _FORMATIONS_TESTS,
        (
            "client.caching.cache",
            "        if formation != self.formation:\n            return {}\n",
            "",
        ),
    ),
    _bug(
        "a guess from disk outweighs a node",
        _FORMATIONS_TESTS,
        (
            "client.caching.cache",
            "        if guess is not None and self.formation is None:\n",
            "        if guess is not None:\n",
        ),
    ),
    _bug(
        "decrees of an earlier formation are written to the new file",
        _FORMATIONS_TESTS,
        (
            "client.caching.cache",
            "decrees = [decree for formation, decree in waiting if formation == welcome.formation]",
            "decrees = [decree for _, decree in waiting]",
        ),
    ),
    _bug(
        "the file of an earlier formation is written on",
        _FORMATIONS_TESTS,
        (
            "client.caching.cache",
            "        if welcome is None or welcome is self._opened_for:\n",
            "        if welcome is None or self._opened_for is not None:\n",
        ),
    ),
    _bug(
        "the memory outlives a formation",
        _FORMATIONS_TESTS,
        (
            "client.caching.cache",
            "            self.memory.clear()\n            self.formation = welcome.formation\n",
            "            self.formation = welcome.formation\n",
        ),
    ),
    _bug(
        "the files of earlier formations stay",
        _FORMATIONS_TESTS,
        (
            "client.caching.cache_directory",
            "            if name.startswith(cluster) and name != file.path.name:\n"
            "                self._file(name).remove()\n",
            "            pass\n",
        ),
    ),
    _bug(
        "the oldest formation on disk is believed",
        _FORMATIONS_TESTS,
        (
            "client.caching.cache_directory",
            "best = max(best or (confirmed, name), (confirmed, name))",
            "best = min(best or (confirmed, name), (confirmed, name))",
        ),
    ),
    _bug(
        "a claim is answered from a guess",
        _FORMATIONS_TESTS,
        (
            "client.requests.sender",
            "decree = self.cache.memory.get(claim.key) if self.cache.confirmed else None",
            "decree = self.cache.memory.get(claim.key)",
        ),
    ),
    _bug(
        "a watch knows decrees by their keys alone",
        _FORMATIONS_TESTS,
        (
            "client.requests.watching",
            "if self._seen.get(decree.key) != mark:",
            "if decree.key not in self._seen:",
        ),
    ),
    _bug(
        "terms of an earlier formation are later for an observer",
        _FORMATIONS_TESTS,
        (
            "client.locks.observing",
            "            self._term, self._formation = 0, formation\n",
            "            self._formation = formation\n",
        ),
    ),
)

_WATCHING_TESTS = "client/requests/test_watch_lists.py"
WATCHING = (
    _bug(
        "lost is only taken from other nodes",
        _WATCHING_TESTS,
        (
            "client.requests.watching",
            "return page.lost or (new.node, new.feed) != (old.node, old.feed)",
            "return (new.node, new.feed) != (old.node, old.feed)",
        ),
    ),
    _bug(
        "the last of a page of a list is at the list's end",
        _WATCHING_TESTS,
        (
            "client.requests.watching",
            "        self._offer(page.decrees, self._position, self._position)\n",
            "        self._offer(page.decrees, self._position, self._goal)\n",
        ),
    ),
    _bug(
        "positions inside a list are after it",
        _WATCHING_TESTS,
        (
            "client.requests.watching",
            "        self._offer(page.decrees, self._position, self._position)\n",
            "        self._offer(page.decrees, self._goal, self._goal)\n",
        ),
    ),
    _bug(
        "all decrees of a page have the position after it",
        _WATCHING_TESTS,
        (
            "client.requests.watching",
            "position = behind if place == last else before",
            "position = behind",
        ),
    ),
    _bug(
        "a watch continues from before its list",
        _WATCHING_TESTS,
        (
            "client.requests.watching",
            "            self._position, self._goal = self._goal, None\n",
            "            self._goal = None\n",
        ),
    ),
    _bug(
        "a list ends with its first page",
        _WATCHING_TESTS,
        (
            "client.requests.watching",
            "        self._after = page.next_after\n        if page.next_after is None:\n",
            "        self._after = page.next_after\n        if True:\n",
        ),
    ),
)

BUGS = DEFINITE + FORMATIONS + WATCHING
