"""M16: pages that come with their decrees, and the terms of locks on them."""

import pytest

from decreed.registry.locks.terms import term_key
from decreed.registry.replica.feed import catchup
from decreed.registry.replica.feed.pages import PULL_TIMEOUT_MS
from decreed.registry.replica.step.effects import Send
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.wire.leases import ForgottenTerms
from decreed.registry.wire.peers import FeedPage, Fetched, PeerMessage, Pull

from ...support.batches import step
from ...support.forgetful import cycle, cycles, forgetful
from .test_floors_in_feeds import N1, N2, N3, floors


def test_M16_a_page_with_its_decrees_tells_no_floor_but_by_its_entries() -> None:
    """Terms are left to be fetched, whether they are kept here or not."""
    world = forgetful()
    cycles(world, 70)
    world.freeze("n1", "k")
    world.run(1_000)
    disk = world.replica(N1).node.identity.disk_id
    effects = step(world, N1, FromPeer(N2, Pull(disk, 0, 4_096, decrees=True)))
    [page] = [send.message for send in effects.at_once if isinstance(send, Send)]
    assert isinstance(page, FeedPage) and {term_key("l", 1), *floors(world, N1)} <= {*page.keys}
    sent: list[PeerMessage] = []
    waiting = list(effects.again)
    while waiting:
        effects = step(world, N1, waiting.pop())
        waiting += effects.again
        sent += [out.message for out in effects.at_once + effects.after if isinstance(out, Send)]
    told = [
        decree.key for message in sent if isinstance(message, Fetched) for decree in message.decrees
    ]
    assert told == ["k"]
    assert not [message for message in sent if isinstance(message, ForgottenTerms)]


def test_M16_a_reader_far_behind_does_not_wait_for_terms_whose_floors_are_told_pages_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It asks for the decrees with the pages, and those who have forgotten a term send none."""
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 32)
    monkeypatch.setattr(catchup, "VOTER_PAGE", 32)
    world = forgetful()
    world.crash(N3)
    for lock in ("l", "m", "n"):
        for number in range(18):
            cycle(world, lock=lock)
            for another in "abc":
                world.freeze("n1", f"{another}/{lock}/{number}")
    end = world.replica(N1).node.feed_end
    world.boot(N3)
    world.run(PULL_TIMEOUT_MS - 500)
    assert [world.replica(N3).catchup.cursor(peer) for peer in (N1, N2)] == [end, end]
    assert any(isinstance(m, Pull) and m.decrees for sender, _, m in world.sent if sender == N3)
