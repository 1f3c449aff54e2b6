"""``decreed scrub``: have the nodes check all that lies on their disks, now."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any

from ...client.requests.results import NodeDown
from ...registry.errors import BadRequest, Denied, Exit
from ...registry.types import NodeId
from ...registry.wire.scrub import ScrubReport
from ..options import types as o
from ..options.connection import ask_scrubs
from ..shell.deferred import typer
from ..shell.failures import CommandFailed, about
from ..shell.output import write_error, write_json, write_line
from ..shell.shown import counted, one_line

if TYPE_CHECKING:
    from ...client.requests.scrubbing import ScrubClient, Scrubs

PROGRESS_PAUSES = 10
"""So many pauses, of half a second each, are between two lines of progress."""
MOST_BYTES = 1 << 40

Nodes = Annotated[
    list[str] | None,
    typer.Option(
        "--node",
        metavar="NODE",
        help="Only this node; repeat it for several.  [default: all]",
        show_default=False,
    ),
]
Rate = Annotated[
    int | None,
    typer.Option(
        "--bytes-per-second",
        metavar="N",
        min=4_096,
        max=MOST_BYTES,
        help="How fast each node reads.  [default: its scrub.bytes_per_second]",
        show_default=False,
    ),
]
Last = Annotated[
    bool, typer.Option("--last", help="Begin nothing: print how it goes, or how the last one went.")
]


def scrub(
    node: Nodes = None,
    bytes_per_second: Rate = None,
    last: Last = False,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Have the nodes read all that lies on their disks, compare it, and repair what is damaged.

    A node that is scrubbing already goes on. An interrupt ends this command, and no scrub. Exit code 0:
    all is sound now; 5: a node is down, or could not be compared with; 7: damage that is left, or two
    decrees for one key.
    """
    if last and bytes_per_second:
        raise typer.BadParameter("--last begins nothing, so it goes without --bytes-per-second")
    call = o.Call.of(endpoints, timeout, as_json, context)
    following = Following(tuple(map(NodeId, node or ())), bytes_per_second or 0, call)

    async def body(scrubs: "ScrubClient") -> "Scrubs":
        return await (following.ask(scrubs) if last else following.follow(scrubs))

    try:
        with about("scrub"):
            reports = ask_scrubs(call, body)
    except KeyboardInterrupt:
        if not last:
            write_error("decreed: scrub: interrupted; the nodes go on: see 'decreed scrub --last'")
        raise
    _show(reports, call)
    return _exit_code(reports)


class Following:
    """Begins scrubs, and asks how they go until all are over.

    Args:
        nodes: whose; empty: of all nodes.
        bytes_per_second: how fast; 0: as each node is set.
        call: the settings of the command.
    """

    def __init__(self, nodes: tuple[NodeId, ...], bytes_per_second: int, call: o.Call) -> None:
        self._nodes = nodes
        self._rate = bytes_per_second
        self._call = call

    async def ask(self, scrubs: "ScrubClient") -> "Scrubs":
        """Ask once how they go."""
        return await self._ask(scrubs, self._nodes)

    async def follow(self, scrubs: "ScrubClient") -> "Scrubs":
        """Begin, and return the reports at the end; a node that is restarted meanwhile begins again."""
        reports = await self._ask(scrubs, self._nodes, begin=True)
        pauses = 0
        while any(_is_open(report) for report in reports):
            if pauses % PROGRESS_PAUSES == 0 and not self._call.as_json:
                write_error("; ".join(map(_progress, filter(_is_open, reports))))
            await scrubs.pause()
            pauses += 1
            reports = await self._ask(scrubs, self._nodes)
            restarted = [r.node for r in reports if isinstance(r, ScrubReport) and not r.number]
            if restarted:
                await self._ask(scrubs, restarted, begin=True)
        return reports

    async def _ask(
        self, scrubs: "ScrubClient", nodes: Collection[NodeId], *, begin: bool = False
    ) -> "Scrubs":
        rate = self._rate if begin else 0
        reports = await scrubs.ask(nodes, scrubs.deadline(), begin=begin, bytes_per_second=rate)
        _check_rights(reports)
        missing = set(nodes) - {report.node for report in reports}
        if missing:
            raise CommandFailed(BadRequest(f"{min(missing)!r} is no member"), "--node")
        return reports


def _check_rights(reports: "Scrubs") -> None:
    """Raise a denial, if no node tells us anything."""
    denials = [r.error for r in reports if isinstance(r, NodeDown) and isinstance(r.error, Denied)]
    if denials and all(isinstance(report, NodeDown) for report in reports):
        raise denials[0]


def _is_open(report: ScrubReport | NodeDown) -> bool:
    return isinstance(report, ScrubReport) and (report.running or not report.number)


def _progress(report: ScrubReport | NodeDown) -> str:
    assert isinstance(report, ScrubReport), "only what is open is shown"
    found = f", {report.harmed} damaged" if report.harmed else ""
    name = one_line(report.node, 100)
    return (
        f"{name}: {report.keys:,} of about {report.expected:,} keys, {report.size:,} bytes{found}"
    )


def _exit_code(reports: "Scrubs") -> int:
    found = [report for report in reports if isinstance(report, ScrubReport)]
    if not all(report.is_sound for report in found):
        return Exit.REFUSED
    whole = all(report.number and not report.silent for report in found)
    return Exit.DONE if whole and len(found) == len(reports) else Exit.UNREACHABLE


# -- for people, and for programs


def _show(reports: "Scrubs", call: o.Call) -> None:
    if call.as_json:
        write_json({"nodes": [_document(report) for report in reports]})
        return
    for report in reports:
        write_line(_line(report))
        for text in _details(report):
            write_line(f"  {text}")


def _line(report: ScrubReport | NodeDown) -> str:
    name = one_line(report.node or "?", 100)
    if isinstance(report, NodeDown):
        return f"{name:<8} down     {one_line(str(report.error), 500)}"
    if not report.number:
        return f"{name:<8} none     it has not scrubbed since it was started"
    state = "running" if report.running else "sound" if report.is_sound else "damaged"
    words = [
        f"{counted(report.keys, 'key')}, {report.size:,} bytes in {report.took_ms / 1000:.1f} s",
        f"compared with {' '.join(report.compared)}" if report.compared else "compared with nobody",
        f"not wholly compared with {' '.join(report.silent)}" if report.silent else "",
        f"{report.repaired} of {counted(report.harmed, 'damaged record')} repaired"
        if report.harmed
        else "",
    ]
    return f"{name:<8} {state:<8} {'; '.join(word for word in words if word)}"


def _details(report: ScrubReport | NodeDown) -> list[str]:
    """What is wrong, a line for each."""
    if isinstance(report, NodeDown):
        return []
    left = report.harmed - report.repaired
    lines = [f"two decrees: {one_line(key, 600)}" for key in report.differing_keys]
    lines += [f"damaged: {one_line(key, 600)}" for key in report.unrepaired]
    lines += [f"fault: {one_line(text, 1_000)}" for text in report.faults]
    if report.faults:
        lines.append(f"way out: {_way_out(one_line(report.node, 100))}")
    more = report.differing - len(report.differing_keys) + left - len(report.unrepaired)
    return [*lines, f"and {more} more keys"] if more > 0 else lines


def _way_out(node: str) -> str:
    return (
        f"no other node can repair this; stop {node}, move its directory away, start it with an empty"
        f" one and --join, and run 'decreed member replace {node}' (docs/how-to/change-members.md)"
    )


def _document(report: ScrubReport | NodeDown) -> dict[str, Any]:
    if isinstance(report, NodeDown):
        return {"node": report.node, "up": False, "error": str(report.error)}
    return {
        "node": report.node,
        "up": True,
        "running": report.running,
        "number": report.number,
        "sound": report.is_sound,
        "keys": report.keys,
        "expected": report.expected,
        "bytes": report.size,
        "took_ms": report.took_ms,
        "ended_ms": report.ended_ms,
        "compared": list(report.compared),
        "silent": list(report.silent),
        "damaged": report.harmed,
        "repaired": report.repaired,
        "unrepaired": list(report.unrepaired),
        "two_decrees": report.differing,
        "two_decrees_keys": list(report.differing_keys),
        "faults": list(report.faults),
    }
