"""S64: the windows of a list name few prefixes, and together they have all that may be read."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decreed.registry.keys import matches, sort_key
from decreed.registry.replica.requests.windows import Window, window
from decreed.registry.types import MAX_KEY_BYTES, Key
from decreed.registry.wire.requests import ListPage

from ...policy.samples import few
from ..policy.eve import EveWorld, keys, lists

# their keys alternate: p comes before p-x, and p/... after it
PREFIXES = ["p", "p-", "p-x", "p0", "q/r", "q/r-s"]
NAMES = [f"{prefix}{rest}" for prefix in PREFIXES for rest in ("", "/a", "/b", "@1", "@12")]


def windows(after: str, within: tuple[str, ...]) -> Iterator[Window]:
    """All windows from a key on, as a list goes through them."""
    found = window(after, within)
    while found is not None:
        yield found
        found = None if found.until is None else window(found.until, within)


def holds(found: Window, key: str) -> bool:
    """Whether a key is in a window."""
    place = sort_key(key)
    inside = place > sort_key(found.after) and any(matches(p, Key(key)) for p in found.within)
    return inside and (found.until is None or place <= sort_key(found.until))


@few
@given(st.sets(st.sampled_from(PREFIXES)), st.sampled_from(["", *NAMES]))
def test_each_key_that_may_be_read_is_in_one_window_and_no_other_is(
    chosen: set[str], after: str
) -> None:
    within = tuple(sorted(chosen, key=sort_key))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("decreed.registry.replica.requests.windows.MAX_WITHIN", 3)
        found = list(windows(after, within))
    assert all(len(each.within) <= 3 for each in found)
    for key in NAMES:
        wanted = sort_key(key) > sort_key(after) and any(matches(p, Key(key)) for p in within)
        assert sum(holds(each, key) for each in found) == wanted


def test_prefixes_that_begin_each_other_do_not_hold_up_the_windows() -> None:
    """All of the first ones contain the same place in the order of keys."""
    nested = ["p" + "-" * count for count in range(MAX_KEY_BYTES)]
    within = tuple(sorted([*nested, *(f"q{n}" for n in range(3_000))], key=sort_key))
    found = list(windows("", within))
    ends = [sort_key(each.until) for each in found if each.until is not None]
    assert len(found) == 4 and ends == sorted(set(ends))
    assert set().union(*(each.within for each in found)) == set(within)


def test_all_of_a_prefix_is_one_window_without_prefixes() -> None:
    assert window("k", None) == Window("k")


def test_there_is_no_window_after_the_last_key_that_may_be_read() -> None:
    assert window("b", ("a",)) is None
    assert window("a/z", ("a",)) == Window("a/z", ("a",))


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_list_over_several_windows_is_whole_and_in_order(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("decreed.registry.replica.requests.windows.MAX_WITHIN", 3)
    world = EveWorld(*({"on": prefix, "may": ["read"]} for prefix in PREFIXES))
    shown = sorted((name for name in NAMES if "@" not in name and "0" not in name), key=sort_key)
    world.freezes(*shown, "p-y", "p1", "q", "q/s")
    pages = world.all_pages("", limit)
    assert keys(*pages) == shown
    for page in pages[:-1]:
        assert page.next_after == page.decrees[-1].key
        assert page.decrees


def test_windows_with_nothing_in_them_are_passed_in_one_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("decreed.registry.replica.requests.windows.MAX_WITHIN", 3)
    world = EveWorld(*({"on": f"e{number}", "may": ["read"]} for number in range(9)))
    world.freezes("e8/last", "e1-hidden")
    page = world.eve(lists(world, ""))
    assert isinstance(page, ListPage) and keys(page) == ["e8/last"]
