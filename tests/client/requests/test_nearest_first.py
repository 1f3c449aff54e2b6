"""A client of one request finds the nearest node before it asks."""

from math import inf

from decreed.client.blocking import ask, finish, sender_of
from decreed.client.keys import Keys
from decreed.registry.types import Decree

from ..fakes import running_cluster


def test_its_nodes_are_measured_before_the_first_read() -> None:
    with (
        running_cluster(2) as cluster,
        sender_of(cluster.endpoints, timeout=20.0, prefer="nearest") as sender,
    ):
        finish(sender.find_nearest(sender.deadline(None)))
        assert min(link.round_trip for link in sender.pool.up) < inf
        assert sender.pool.first(None, anywhere=True) is None, "reads go by nearness"


def test_it_reads_and_claims_like_any_other() -> None:
    async def body(keys: Keys) -> Decree | None:
        await keys.claim("k", "v")
        return await keys.get("k")

    with running_cluster(2) as cluster:
        found = ask(cluster.endpoints, body, timeout=20.0, prefer="nearest")
    assert found is not None and found.text == "v"
