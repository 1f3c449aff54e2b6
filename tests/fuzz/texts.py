"""Strategies for keys, near keys, and documents that look like ``cluster.toml``."""

import unicodedata
from typing import Any

from hypothesis import strategies as st

from decreed.registry.invisible import INVISIBLE
from decreed.registry.keys import MAX_SLOT
from decreed.registry.types import Key

ASCII_MARKS = "_-.+=:,~()"
SOME_ALPHABET = st.sampled_from("abzAZ09\u00e9\u0416\u4e2d\u0301" + ASCII_MARKS)


def segments() -> st.SearchStrategy[str]:
    """Segments of keys, built by the documented rules."""
    seen = st.characters(categories=["L", "N", "M"]).filter(lambda x: not INVISIBLE.match(x))
    letters = seen | SOME_ALPHABET
    text = st.text(letters, min_size=1, max_size=8)
    normal = text.map(lambda segment: unicodedata.normalize("NFC", segment))
    return normal.filter(lambda segment: segment not in (".", ".."))


def paths() -> st.SearchStrategy[str]:
    """Paths of keys."""
    joined = st.lists(segments(), min_size=1, max_size=4).map("/".join)
    # a mark at the head of a segment never combines with a slash
    return joined.filter(lambda path: unicodedata.is_normalized("NFC", path))


def slots() -> st.SearchStrategy[int]:
    """Slot numbers: numbers of other lengths as often as near ones."""
    return st.integers(0, 15).flatmap(
        lambda digits: st.integers(10 ** max(digits - 1, 0), MAX_SLOT)
    )


def keys() -> st.SearchStrategy[Key]:
    """Keys that must be accepted."""
    return st.builds(
        lambda path, slot: Key(path if slot is None else f"{path}@{slot}"),
        paths(),
        st.none() | slots() | st.integers(1, 120),
    )


def near_keys() -> st.SearchStrategy[str]:
    """Texts that are keys or nearly so."""
    pieces = st.sampled_from(
        ["a", "é", "e\u0301", "/", "@", "1", "0", ".", "..", "$", " ", "\0", "-"]
    )
    return st.lists(pieces | st.text(max_size=2), max_size=8).map("".join)


def settings_documents() -> st.SearchStrategy[dict[str, Any]]:
    """Documents with the right names and often the wrong values."""
    names = st.sampled_from(["n1", "n2", "n3", "n-4", "n 5", "", "é", "a.b", "x" * 64])
    hosts = st.sampled_from(
        ["h:1", "h:2", "h:3", "[::1]:4", "h", ":1", "h:0", "h:99999", "h:\uff11"]
    )
    numbers = st.integers(-1, 8) | st.integers(-(2**65), 2**65)
    odd = (
        numbers | st.booleans() | st.floats() | st.text(max_size=4) | st.lists(numbers, max_size=2)
    )
    sections = {
        "cluster_id": st.text(max_size=70) | odd,
        "members": st.dictionaries(names, hosts | odd, max_size=7),
        "quorums": _section(["prepare", "accept", "more"], st.integers(0, 8) | odd),
        "limits": _section(["max_value_bytes", "max_frame_bytes", "max_in_flight"], odd),
        "timing": _section(["suspect_ms", "resend_ms", "drain_ms", "no\nsuch"], odd),
    }
    return st.fixed_dictionaries({}, optional={**sections, "else": odd})


def sound_documents() -> st.SearchStrategy[dict[str, Any]]:
    """Documents that must be accepted."""
    return st.builds(
        lambda size, cluster_id: {
            "cluster_id": cluster_id,
            "members": {f"n{n}": f"host-{n}:{7000 + n}" for n in range(size)},
        },
        st.sampled_from([1, 3, 5, 7]),
        st.text("abc-0", min_size=1, max_size=64),
    )


def _section(names: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(names), values, max_size=3) | values
