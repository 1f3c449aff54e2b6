"""Mistakes in how floors are told in feeds, stored and followed (M16)."""

from .bug import Bug, Change

_FEED_TESTS = "replica/feed/test_floors_in_feeds.py"
_PAGE_TESTS = "replica/feed/test_terms_in_pages.py"
_DISK_TESTS = "storage/test_floors.py"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


FOLLOWING = (
    _bug(
        "the cursor moves past a floor before it is followed",
        _FEED_TESTS,
        "registry.replica.feed.catchup",
        "if pulling.missing or pulling.floors or pulling",
        "if pulling.missing or pulling",
    ),
    _bug(
        "a floor that a feed tells is passed over",
        _FEED_TESTS,
        "registry.replica.feed.catchup",
        "pulling.floors = {last for last in floors if is_kept(step, last)}",
        "pulling.floors = set()",
    ),
    _bug(
        "a page that was asked for with its decrees raises floors as far as they are told",
        _PAGE_TESTS,
        "registry.replica.feed.serving",
        "keys = tuple([key for key in page.keys if not is_term(key)]) if pull.decrees else ()",
        "keys = page.keys if pull.decrees else ()",
    ),
    _bug(
        "terms are awaited that come with no page, since their peer has forgotten them",
        _PAGE_TESTS,
        "registry.replica.feed.catchup",
        "            mine = [key for key in mine if is_term(key)]\n",
        "            mine = []\n",
    ),
    _bug(
        "the shortest retention becomes everybody's",
        _FEED_TESTS,
        "registry.replica.feed.truncation",
        "            if not _is_learned(step, key):\n",
        "            if True:\n",
    ),
    _bug(
        "a term that was missed is not forgotten",
        _FEED_TESTS,
        "registry.replica.feed.truncation",
        "            if not _is_learned(step, key):\n",
        "            if False:\n",
    ),
    _bug(
        "a floor is followed on a failed disk",
        _FEED_TESTS,
        "registry.replica.feed.truncation",
        "        if self._node.failed:\n            return  # nothing",
        "        if False:\n            return  # nothing",
    ),
    _bug(
        "a floor is told again though it is as high",
        _FEED_TESTS,
        "registry.replica.feed.truncation",
        "if floor <= self._floors.get(series, 1) or self._node.failed:",
        "if self._node.failed:",
    ),
    _bug(
        "the feed in memory lacks the floors",
        _FEED_TESTS,
        "registry.replica.feed.truncation",
        "        self._recent.add({gone.last: FLOOR_DIGEST})\n",
        "",
    ),
    _bug(
        "a watch counts the floors of its last step as decrees",
        _FEED_TESTS,
        "registry.replica.feed.watches",
        "index = step.feed_start if",
        "index = self._node.feed_end - len(step.learned) if",
    ),
)
STORED = (
    _bug(
        "a floor deletes the entry that tells it",
        _DISK_TESTS,
        "storage.runs",
        "if layout.is_term(keys[start]) and first + start not in floors:",
        "if layout.is_term(keys[start]):",
    ),
    _bug(
        "the entries of earlier floors stay",
        _DISK_TESTS,
        "storage.floors",
        "entries = [] if before.entry is None else [before.entry]",
        "entries: list[int] = []",
    ),
    _bug(
        "the floors of an earlier build are never told",
        "storage/test_formats.py",
        "storage.store",
        "        self._tell_floors()\n",
        "",
    ),
)

BUGS = FOLLOWING + STORED
