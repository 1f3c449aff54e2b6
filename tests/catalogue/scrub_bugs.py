"""Mistakes in how a disk is scrubbed: what is found, what is compared, and what is repaired."""

from .bug import Bug, Change

_TESTS = "replica/scrub/test_scrubbing.py"
_WALK_TESTS = "storage/test_walk.py"
_MENDING = "registry.replica.scrub.mending"
_COMPARING = "registry.replica.scrub.comparing"
_SCRUBBING = "registry.replica.scrub.scrubbing"
_WALK = "storage.walk"
_UNREADABLE_TESTS = "replica/scrub/test_unreadable_feed.py"
_GONE_TESTS = "replica/scrub/test_gone.py"
_LEARNER = "registry.replica.feed.learner"
_SERVING = "registry.replica.feed.serving"


def _bug(name: str, module: str, old: str, new: str, held_by: str = _TESTS) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


REPAIRING = (
    _bug(
        "a damaged record is repaired without a look at the digest in the feed",
        _MENDING,
        "if named.digest != decree_digest(decree):",
        "if False:",
    ),
    _bug(
        "a vote that cannot be read is replaced by a blank record",
        _MENDING,
        "            self._peers = list(self._node.sources)\n",
        "            for key in self._wanted:\n"
        "                if key not in self._names:\n"
        "                    step.store(key, EMPTY)\n"
        "            self._peers = list(self._node.sources)\n",
    ),
    _bug(
        "what an unreadable part of the feed may name counts as never learned",
        _MENDING,
        "            del self._suspects[key]\n",
        "            pass\n",
        _UNREADABLE_TESTS,
    ),
    _bug(
        "a scrub does not remember that it has passed over a part of the feed",
        _MENDING,
        "            self._has_gap = True\n            start += self._stride",
        "            start += self._stride",
        _UNREADABLE_TESTS,
    ),
    _bug(
        "a scrub reads no feed behind a part that it cannot read",
        _MENDING,
        "if start < self._tally.feed_end:",
        "if start < 0:",
        _UNREADABLE_TESTS,
    ),
    _bug(
        "a decree replaces a damaged record before the feed was read",
        _MENDING,
        "if key not in self._wanted or self._node.failed:",
        "if self._node.failed:",
    ),
    _bug(
        "a repaired decree is a new entry of the feed",
        _MENDING,
        "        step.store(key, mended)\n        step.settle()\n        return mended\n",
        "        return EMPTY\n",
    ),
    _bug(
        "a node that is behind has lost records",
        _MENDING,
        "if key in damaged or self._was_named(key, began)]",
        "]",
    ),
    _bug(
        "a record that is gone is taken for lag",
        _MENDING,
        "if key in damaged or self._was_named(key, began)]",
        "if key in damaged]",
    ),
    _bug(
        "what was learned since the scrub began is taken for lost",
        _MENDING,
        "return entry is not None and entry.index < before",
        "return entry is not None",
    ),
    _bug(
        "a record that is only in memory counts as repaired, and is not written",
        _MENDING,
        "            step.store(key, found)\n",
        "",
    ),
    _bug(
        "a vote in memory stands for a decree that the feed names",
        _MENDING,
        "return found.learned is not None and decree_digest(found.learned) == entry.digest",
        "return True",
    ),
    Bug(
        "a node whose disk has failed repairs",
        (
            Change(_MENDING, "if self._suspects and not self._node.failed:", "if self._suspects:"),
            Change(
                _MENDING,
                "if key not in self._wanted or self._node.failed:",
                "if key not in self._wanted:",
            ),
        ),
        held_by=_TESTS,
    ),
)
COMPARING = (
    _bug(
        "lag is taken for a difference",
        _SCRUBBING,
        "                tally.add_missing(decree.key)\n",
        "                tally.differing[decree.key] = None\n",
    ),
    _bug(
        "another decree of a peer is passed over",
        _SCRUBBING,
        "if found.learned == decree:",
        "if True:",
    ),
    _bug(
        "an end of a prefix that cannot be read is not compared",
        _COMPARING,
        "if page.prefix is not None and (rows or page.complete):",
        "if page.prefix is not None and rows:",
    ),
    _bug(
        "the rest of what does not fit an answer is not asked",
        _COMPARING,
        "if answer.end is not None:",
        "if False:",
    ),
    _bug(
        "anybody may answer",
        _COMPARING,
        "if sender not in question.missing:",
        "if False:",
    ),
    _bug(
        "a voter that is down counts as compared with",
        _COMPARING,
        "            self._failed[peer] = self._failed.get(peer, 0) + 1\n            return False\n",
        "            return False\n",
    ),
    _bug(
        "a voter that never answers holds up every page",
        _COMPARING,
        "return self._failed.get(peer, 0) < MAX_FAILED",
        "return True",
    ),
)
READING = (
    _bug(
        "a withheld record is damage",
        _WALK,
        "if not isinstance(found, WithheldInstance):",
        "if True:",
        _WALK_TESTS,
    ),
    _bug(
        "every page of a prefix counts as its last one",
        _WALK,
        "        last is None,\n",
        "        True,\n",
        _WALK_TESTS,
    ),
    _bug(
        "what RocksDB cannot read is passed over in silence",
        _WALK,
        "(*page.faults, *faults)",
        "(*page.faults,)",
        _WALK_TESTS,
    ),
    _bug(
        "records that are no instances are not checked",
        _WALK,
        "            row = self._rows.unpack(stored, data, _kind(stored))\n",
        "            row = None\n",
        _WALK_TESTS,
    ),
)

GONE = (
    _bug(
        "a scrub that finds a record gone leaves the node to answer as if it never had one",
        _MENDING,
        "        if lost and isinstance(found, Instance):\n",
        "        if False:\n",
        _GONE_TESTS,
    ),
    _bug(
        "a decree that comes back is a new entry of the feed",
        _LEARNER,
        "if not found.in_feed or self._node.failed:",
        "if True:",
        _GONE_TESTS,
    ),
    _bug(
        "any decree ends the silence about a key of which a feed has told another one",
        _LEARNER,
        "if found.digest and found.digest != decree_digest(decree):",
        "if False:",
        _GONE_TESTS,
    ),
    _bug(
        "only the others say what is gone",
        _SCRUBBING,
        "        for key in page.gone:\n            self.tally.add_missing(key)\n",
        "",
        _GONE_TESTS,
    ),
    _bug(
        "a node that serves its feed says nothing of a key whose record is gone",
        _SERVING,
        "            elif self._find_lost(step, sender, key):\n"
        "                unreadable.append(key)\n",
        "",
        _GONE_TESTS,
    ),
    _bug(
        "a watch passes over a key whose record is gone",
        "registry.replica.feed.watches",
        "if self._on_lost is not None and not self._node.failed:",
        "if False:",
        _GONE_TESTS,
    ),
    _bug(
        "what a page from the disk has told is not remembered",
        _SERVING,
        "        self._told[reader] = (told, latest)\n",
        "",
        _GONE_TESTS,
    ),
    _bug(
        "what is named before its page is read is forgotten",
        "registry.replica.feed.catchup",
        "        if pulling.next_start is None:  # what its page",
        "        if False:  # what its page",
        "replica/feed/test_catchup.py",
    ),
    _bug(
        "what is named before an early page is read is forgotten",
        "registry.replica.feed.catchup",
        "            self._next[sender].is_doubtful = True",
        "            pass",
        "replica/feed/test_catchup.py",
    ),
    _bug(
        "each answer that a decree cannot be told is asked about once more",
        "registry.replica.feed.catchup",
        "named = sorted((set(keys) & pulling.missing.keys()) - pulling.refused)",
        "named = sorted(set(keys) & pulling.missing.keys())",
        _GONE_TESTS,
    ),
    _bug(
        "a vote whose record is gone was never given",
        "storage.lost",
        "        return self._found.get(key)\n",
        "        return None\n",
        _GONE_TESTS,
    ),
    _bug(
        "a lost record is forgotten by the second start",
        "storage.store",
        "        found.update(lost)\n",
        "",
        _GONE_TESTS,
    ),
)

BUGS = REPAIRING + COMPARING + READING + GONE
