"""The metrics of a node: how each is called, what it counts, and where that is read.

One table has the names, the help and the functions that read them; the page in the docs is made from
it. Nothing is read before somebody asks: the parts keep plain numbers (`registry/counting`).

Names follow the conventions of Prometheus: base units (seconds, bytes), ``_total`` for what only grows.
No name has a dot: readers of different versions would see different names. The format is the text
format 0.0.4, which every Prometheus and promtool read.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ...counting import Histogram
from ...errors import error_kind
from ...replica.alarms import alarms_of, lag_of
from ...replica.step.counts import Ending
from ...types import Outcome
from ...version import VERSION
from ...wire.status import AlarmKind
from .sources import NodeSources

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MS = 1e-3
MAX_DISTINCT = 64
"""The most certificates that are told of."""

Value = tuple[tuple[str, ...], float]
Sizes = tuple[tuple[str, ...], Histogram, float]
"""Labels, the counts, and what one unit of them is in base units."""


@dataclass(frozen=True)
class Gauge:
    """What goes up and down."""

    name: str
    help: str
    read: Callable[[NodeSources], Iterable[Value]]
    labels: tuple[str, ...] = ()
    kind: str = "gauge"


@dataclass(frozen=True)
class Counter:
    """What only grows, until the node is started again; its name ends in ``_total`` outside."""

    name: str
    help: str
    read: Callable[[NodeSources], Iterable[Value]]
    labels: tuple[str, ...] = ()
    kind: str = "counter"


@dataclass(frozen=True)
class Buckets:
    """How often values of each size were seen."""

    name: str
    help: str
    read: Callable[[NodeSources], Iterable[Sizes]]
    labels: tuple[str, ...] = ()
    kind: str = "histogram"


def _one(value: float | None) -> list[Value]:
    return [] if value is None else [((), float(value))]


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _kind(request: type) -> str:
    return _snake(request.__name__.removesuffix("Request"))


def _ending(ending: Ending) -> str:
    if isinstance(ending, Outcome):
        return ending.value.replace(" ", "_")
    if isinstance(ending, int):
        return _snake(error_kind(ending).__name__)
    return _snake(ending.__name__)


def _requests(of: NodeSources) -> Iterator[Value]:
    for (request, ending), count in of.parts.node.counts.endings.items():
        yield (_kind(request), _ending(ending)), count


def _durations(of: NodeSources) -> Iterator[Sizes]:
    for request, found in of.parts.node.counts.took_ms.items():
        yield (_kind(request),), found, MS


def _queues(of: NodeSources) -> Iterator[Value]:
    for kind, count in of.loop.waiting.items():
        yield (kind,), count


def _pending(of: NodeSources) -> Iterator[Value]:
    for kind, held in of.parts.pending().items():
        yield (kind.replace(" ", "_"),), len(held)


def _peers(of: NodeSources) -> Iterator[Value]:
    for peer in of.parts.node.others:
        yield (peer,), peer in of.parts.node.reachable


def _lags(of: NodeSources) -> Iterator[Value]:
    for peer in of.parts.node.others:
        lag = lag_of(of.parts, peer)
        if lag is not None:
            yield (peer,), lag


def _certificates(of: NodeSources) -> Iterator[Value]:
    first: dict[tuple[str, str], float] = {}
    for each in of.parts.node.secured.certificates:
        place = each.part.name.lower(), each.whose
        ends_s = each.expires_ms / 1_000
        if each.part.name != "CLIENT" and len(first) < MAX_DISTINCT:
            first[place] = min(ends_s, first.get(place, ends_s))
    yield from first.items()


def _used(of: NodeSources) -> Iterator[Value]:
    space = of.parts.node.disk.space
    for kind, size in space.used if space is not None else ():
        yield (kind,), size


def _cache(of: NodeSources) -> Iterator[Value]:
    yield ("hit",), of.storage.cached.hits
    yield ("miss",), of.storage.cached.misses


def _alarms(of: NodeSources) -> Iterator[Value]:
    found = alarms_of(of.parts, of.loop.now_ms())
    for kind in AlarmKind:
        yield (kind.name.lower(),), sum(each.kind is kind for each in found)


def _free(of: NodeSources) -> list[Value]:
    space = of.parts.node.disk.space
    return _one(None if space is None else space.free_bytes)


def _size(of: NodeSources) -> list[Value]:
    space = of.parts.node.disk.space
    return _one(None if space is None else space.size_bytes)


def _scrub_age(of: NodeSources) -> list[Value]:
    age_ms = of.parts.scrubbing.summary(of.loop.now_ms())[0]
    return _one(None if age_ms is None else age_ms * MS)


def _info(of: NodeSources) -> list[Value]:
    identity = of.parts.node.identity
    return [((VERSION, of.parts.node.name, identity.cluster_id), 1.0)]


METRICS: tuple[Gauge | Counter | Buckets, ...] = (
    Gauge("decreed_node_info", "Version, name and cluster of the node; always 1.", _info,
          ("version", "node", "cluster")),
    Gauge("decreed_uptime_seconds", "Time since the start of the node.",
          lambda of: _one(of.loop.now_ms() * MS)),
    Gauge("decreed_incarnation", "How often the node's directory was opened.",
          lambda of: _one(of.parts.node.identity.incarnation)),
    Gauge("decreed_voting", "1 if the node votes now, else 0.",
          lambda of: _one(of.parts.node.accepts)),
    Gauge("decreed_ready", "1 if the node can be part of a quorum now, as /readyz says.",
          lambda of: _one(not of.readiness())),
    Gauge("decreed_epoch", "The epoch of members that the node knows.",
          lambda of: _one(of.parts.node.epoch.number)),
    Gauge("decreed_members", "How many voters the epoch has.",
          lambda of: _one(len(of.parts.node.nodes))),
    Gauge("decreed_peer_reachable", "1 if a peer is heard and votes, else 0.", _peers, ("peer",)),
    Gauge("decreed_peer_lag_decrees", "How many decrees a peer has learned less than this node.",
          _lags, ("peer",)),
    Gauge("decreed_decrees", "Decrees that the node has learned: the keys that are frozen.",
          lambda of: _one(of.parts.node.feed_end)),
    Gauge("decreed_unlearned", "Acceptances whose outcome the node does not know yet.",
          lambda of: _one(of.parts.acceptors.unlearned)),
    Gauge("decreed_behind_decrees", "Entries of the feed read furthest that are not read here yet.",
          lambda of: _one(of.parts.catchup.ends.lag)),
    Counter("decreed_requests", "Requests of clients by kind and by how they ended.", _requests,
            ("kind", "outcome")),
    Buckets("decreed_request_duration_seconds",
            "How long requests took, from the turn that took them to their answer.", _durations,
            ("kind",)),
    Gauge("decreed_pending", "Unfinished work by kind: requests, watches, queues of locks, attempts.",
          _pending, ("kind",)),
    Gauge("decreed_waiting_messages", "Messages that wait for a turn of the loop, by line.", _queues,
          ("line",)),
    Gauge("decreed_clients", "Connected clients.", lambda of: _one(of.clients.count)),
    Gauge("decreed_held_bytes", "Memory that is held for requests and answers of clients.",
          lambda of: _one(of.clients.held_bytes)),
    Buckets("decreed_turn_duration_seconds", "How long turns of the loop took.",
            lambda of: [((), of.loop.turns_ms, MS)]),
    Buckets("decreed_sync_duration_seconds", "How long synced writes took.",
            lambda of: [((), of.loop.syncs_ms, MS)]),
    Buckets("decreed_batch_keys", "Keys in each batch that the node proposed.",
            lambda of: [((), of.parts.node.counts.batches, 1.0)]),
    Counter("decreed_preemptions", "Ballots of the node that lost to a higher one: duels.",
            lambda of: _one(of.parts.node.counts.preemptions)),
    Counter("decreed_nacks", "Messages of proposers that the node refused for a higher promise.",
            lambda of: _one(of.parts.node.counts.nacks)),
    Gauge("decreed_disk_free_bytes", "Free bytes of the node's file system.", _free),
    Gauge("decreed_disk_size_bytes", "The size of the node's file system.", _size),
    Gauge("decreed_disk_used_bytes", "Bytes of the node's own files, by kind.", _used, ("kind",)),
    Gauge("decreed_disk_growth_bytes_per_day", "By how much they grow in a day.",
          lambda of: _one(of.parts.node.disk.grows_bytes)),
    Counter("decreed_cache_lookups", "Keys looked up in the cache of instances.", _cache,
            ("result",)),
    Gauge("decreed_withheld_keys", "Keys about which the node is silent.",
          lambda of: _one(len(of.parts.withholding.keys))),
    Counter("decreed_damage_met", "Reads that met damage on the disk.",
            lambda of: _one(of.parts.node.met_damage.count)),
    Gauge("decreed_scrub_age_seconds", "Time since the end of the last scrub.", _scrub_age),
    Gauge("decreed_certificate_expiry_timestamp_seconds",
          "When a certificate expires: the node's own, those of its CAs and of its peers.",
          _certificates, ("part", "whose")),
    Gauge("decreed_policy", "The number of the policy that is obeyed; 0: none.",
          lambda of: _one(of.parts.policies.obeyed)),
    Gauge("decreed_policy_newest", "The number of the newest policy that is known.",
          lambda of: _one(of.parts.policies.known)),
    Gauge("decreed_alarms", "Alarms by kind; 0 if there is none.", _alarms, ("kind",)),
)  # fmt: skip
"""All of them, in the order in which they are told."""


class NodeCollector(Collector):
    """Reads all metrics of one node."""

    def __init__(self, sources: NodeSources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Each metric with its values of now."""
        for metric in METRICS:
            match metric:
                case Buckets():
                    yield _histogram(metric, self._sources)
                case Counter():
                    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
                    for labels, value in metric.read(self._sources):
                        family.add_metric(labels, value)
                    yield family
                case Gauge():
                    gauges = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
                    for labels, value in metric.read(self._sources):
                        gauges.add_metric(labels, value)
                    yield gauges


def _histogram(metric: Buckets, sources: NodeSources) -> HistogramMetricFamily:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, found, unit in metric.read(sources):
        buckets: list[tuple[str, float]] = []
        below = 0
        for bound, count in zip([*found.bounds, float("inf")], found.counts, strict=True):
            below += count
            buckets.append(("+Inf" if bound == float("inf") else repr(bound * unit), below))
        family.add_metric(labels, buckets, found.total * unit)
    return family


def exposition(sources: NodeSources) -> bytes:
    """All metrics of a node in the text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(sources))
    return generate_latest(registry)


def table() -> list[tuple[str, str, str, str]]:
    """Name, kind, labels and help of each metric, as its readers see it."""
    return [
        (
            f"{each.name}_total" if each.kind == "counter" else each.name,
            each.kind,
            ", ".join(each.labels),
            each.help,
        )
        for each in METRICS
    ]
