"""Keys: path-like names, the slots of a series, prefixes, and which node is home to a key.

A key is one or more segments joined by ``/``, optionally followed by ``@N``, the N-th slot of the
series that the path names: ``prod/db/region``, ``prod/settings@12``. A segment is made of letters,
digits and marks of any script and the ASCII characters ``_ - . + = : , ~ ( )``; it is neither ``.``
nor ``..``. No character is invisible, or two keys could look alike. A key is at most 512 bytes of
UTF-8 in Unicode's NFC form. Slots count from 1, in canonical decimal.

No segment contains ``$``, so internal keys can never be claimed by name. The terms of locks are under
``$locks``, and the voters of epoch k are the slot ``$members@k``. They can be read, listed and watched
there, and are under no other prefix, not even the empty one.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from .errors import BadRequest
from .invisible import INVISIBLE
from .types import MAX_KEY_BYTES, Key, NodeId

MAX_SLOT = 10**15
HOMES_VERSION = 1
"""The version of the rule in `homes`. Class promises name it, since they depend on it."""
LOCKS = "$locks"
"""The path above the terms of all locks."""
MEMBERS = "$members"
"""The series of the decrees that change members."""
POLICY = "$policy"
"""The series of the decrees that say who may do what."""
RESERVED = "$"
"""What internal keys begin with, and no others."""

_ASCII_KEY = re.compile(r"[A-Za-z0-9_\-.+=:,~()]+(?:/[A-Za-z0-9_\-.+=:,~()]+)*")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_\-+=:,~()/]{1,200}")
_PUNCTUATION = frozenset("_-.+=:,~()")
_SLOT = re.compile(r"[1-9][0-9]{0,15}")


@lru_cache(maxsize=16_384)
def parse_key(text: str) -> Key:
    """Check that `text` is a key and return it as one.

    Raises:
        BadRequest: naming what is wrong with it; definite.
    """
    path, at, slot = text.partition("@")
    _check_path(path, "key", text)
    if at and not (_SLOT.fullmatch(slot) and int(slot) <= MAX_SLOT):
        raise _bad("key", text, f"a slot is a whole number from 1 to {MAX_SLOT}, in plain decimal")
    _check_length(text, "key")
    return Key(text)


def parse_readable(text: str) -> Key:
    """Check that `text` is a key that may be read: one to claim, a term of a lock, the voters, or
    a policy.

    Raises:
        BadRequest: naming what is wrong with it; definite.
    """
    if text.startswith((f"{MEMBERS}@", f"{POLICY}@")):
        parse_key(text.removeprefix(RESERVED))
        return Key(text)
    inner = _within_locks(text)
    if inner is None:
        return parse_key(text)
    parse_key(inner)
    _check_length(text, "key")
    return Key(text)


def check_readable(texts: Iterable[str]) -> None:
    """Check that each of `texts` is a key that may be read; for many of them, most of them plain.

    Raises:
        BadRequest: as `parse_readable`.
    """
    for text in texts:
        # a key without dots, slots and empty segments: nothing else can be wrong with it
        if not _PLAIN_KEY.fullmatch(text) or "//" in text or "/" in (text[0], text[-1]):
            parse_readable(text)


def parse_prefix(text: str) -> str:
    """Check that `text` is a prefix: empty, or the path of a key. A ``/`` at the end is dropped.

    Raises:
        BadRequest: naming what is wrong with it; definite.
    """
    path = text.removesuffix("/")
    if path in (MEMBERS, POLICY):
        return path
    inner = _within_locks(path)
    if inner is not None:
        return f"{LOCKS}/{parse_prefix(inner)}" if inner else LOCKS
    if path:
        _check_path(path, "prefix", text)
        _check_length(path, "prefix")
    elif text:
        raise _bad("prefix", text, "it has no segment")
    return path


def parse_series(text: str, what: str = "series") -> str:
    """Check that `text` is the name of a series: the path of a key, without a slot.

    Args:
        text: the name.
        what: what error messages call it.

    Raises:
        BadRequest: naming what is wrong with it; definite.
    """
    if text in (MEMBERS, POLICY):
        return text
    inner = _within_locks(text)
    _check_path(text if inner is None else inner, what, text)
    # there must be room for the longest slot after it
    _check_length(slot_key(text, MAX_SLOT), what)
    return text


def slot_key(series: str, slot: int) -> Key:
    """The key of slot `slot` of `series`."""
    return Key(f"{series}@{slot}")


def series_and_slot(key: Key) -> tuple[str, int | None]:
    """The path of `key` and its slot, or None if it is no slot of a series.

    It is asked of what a peer has sent as well, which may be no key: then there is no slot.
    """
    path, _, slot = key.partition("@")
    return path, int(slot) if slot.isdecimal() else None


def slot_before(key: Key) -> Key | None:
    """The slot that must be learned before `key` may be proposed, or None."""
    series, slot = series_and_slot(key)
    return slot_key(series, slot - 1) if slot is not None and slot > 1 else None


def with_slot_before(key: Key) -> tuple[Key, ...]:
    """`key`, preceded by the previous slot if it is a slot of a series."""
    if "@" not in key:
        return (key,)
    before = slot_before(key)
    return (key,) if before is None else (before, key)


def matches(prefix: str, key: Key) -> bool:
    """Whether `key` is under `prefix`, segment by segment; slots are under their series.

    All keys that can be claimed are under the empty prefix.
    """
    path = key.partition("@")[0]
    if not prefix:
        return not path.startswith(RESERVED)
    return path == prefix or path.startswith(prefix + "/")


def prefixes(key: Key) -> list[str]:
    """Every prefix that `key` is under, with the empty one if `key` can be claimed."""
    segments = key.partition("@")[0].split("/")
    first = 1 if segments[0].startswith(RESERVED) else 0
    return ["/".join(segments[:count]) for count in range(first, len(segments) + 1)]


def sort_key(key: str) -> bytes:
    """Bytes that order keys: by the bytes of the path, then slots after it, by number."""
    path, at, slot = key.partition("@")
    return path.encode() + (b"@" + bytes([min(len(slot), 255)]) + slot.encode() if at else b"")


def homes(key: Key, nodes: Iterable[NodeId]) -> list[NodeId]:
    """All nodes in the order in which they are preferred as coordinators of `key`.

    Rendezvous hashing: each node scores the first eight bytes of BLAKE2b over the node's name, a zero
    byte and the key's path; the node with the highest score is the home. All slots of a series share
    a home.
    """
    return _ranked(key, tuple(nodes))


@lru_cache(maxsize=16_384)
def home(key: Key, nodes: tuple[NodeId, ...]) -> NodeId:
    """The node that is home to `key`; see `homes`."""
    return _ranked(key, nodes)[0]


def is_home_to_all(node: NodeId, keys: Iterable[Key], nodes: tuple[NodeId, ...]) -> bool:
    """Whether `node` is home to each of `keys`, as `home` would say; for many new keys."""
    begun = dict(_begun(nodes))
    if node not in begun:
        return False
    own = begun.pop(node)
    rest = list(begun.items())
    for key in keys:
        data = (key.partition("@")[0] if "@" in key else key).encode()
        score = own.copy()
        score.update(data)
        best = score.digest()
        for name, started in rest:
            other = started.copy()
            other.update(data)
            theirs = other.digest()
            if theirs >= best and (theirs, name) > (best, node):
                return False
    return True


def _ranked(key: Key, nodes: tuple[NodeId, ...]) -> list[NodeId]:
    data = key.partition("@")[0].encode()
    scores: list[tuple[bytes, NodeId]] = []
    for node, begun in _begun(nodes):
        # computed for every new key at every node; to continue from a copy takes half the time
        score = begun.copy()
        score.update(data)
        scores.append((score.digest(), node))
    return [node for _, node in sorted(scores, reverse=True)]


@lru_cache
def _begun(nodes: tuple[NodeId, ...]) -> "list[tuple[NodeId, hashlib.blake2b]]":
    """The hash of each node's score, up to the point where the path follows."""
    return [(node, hashlib.blake2b(f"{node}\0".encode(), digest_size=8)) for node in nodes]


def _within_locks(text: str) -> str | None:
    """The rest of `text` after the path of all locks; None if it does not begin with that path."""
    if not text.startswith(LOCKS):
        return None
    root, _, inner = text.partition("/")
    return inner if root == LOCKS else None


def _check_path(path: str, what: str, text: str) -> None:
    if not _ASCII_KEY.fullmatch(path):
        for fault in _faults(path):
            raise _bad(what, text, fault)
    if "." in path and any(segment in (".", "..") for segment in path.split("/")):
        raise _bad(what, text, "a segment may not be '.' or '..'")


def _faults(path: str) -> Iterator[str]:
    if len(path) > MAX_KEY_BYTES:
        yield f"it is longer than {MAX_KEY_BYTES} bytes"
    if not all(path.split("/")):
        yield _empty_segment(path)
    for character in path:
        if character == "@":
            yield "it has a slot, and none belongs there"
        if character not in _PUNCTUATION and character != "/" and not _is_word(character):
            yield f"the character {character!a} is not allowed"
        if INVISIBLE.match(character):
            yield f"the character {character!a} is invisible"
    if not unicodedata.is_normalized("NFC", path):
        yield "it is not in Unicode's NFC form"


def _empty_segment(path: str) -> str:
    """The error about an empty segment; keys in other stores may begin with a slash."""
    if not path:
        return "it is empty"
    if path.startswith("/"):
        return "it begins with a slash, and no key does"
    if path.endswith("/"):
        return "it ends with a slash, and no key does"
    return "it has an empty segment"


def _is_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"


def _check_length(text: str, what: str) -> None:
    if len(text.encode()) > MAX_KEY_BYTES:
        raise _bad(what, text, f"it is longer than {MAX_KEY_BYTES} bytes")


def _bad(what: str, text: str, fault: str) -> BadRequest:
    shown = text if len(text) <= 60 else text[:57] + "..."
    return BadRequest(f"{shown!a} is no {what}: {fault}")
