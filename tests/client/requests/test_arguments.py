"""Every parameter of every public method, with wrong values: each is named, and nothing is sent.

The tables are by name, since a parameter of one name means the same everywhere. The methods are found
by introspection: a new parameter that is in no table fails here.
"""

import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta
from functools import partial, wraps
from math import inf, nan
from typing import Any

import anyio
import pytest

from decreed import client
from decreed.client import Holder, Json, Registry, Tls, connect, fencing, open_registry, sync
from decreed.registry.errors import BadRequest
from decreed.registry.types import MAX_COUNTER
from decreed.registry.wire.requests import LockRequest

from ..fakes import FakeCluster, cluster_of, running_cluster

NOBODY = "127.0.0.1:1"
HUGE = 10**5_000
# text that cannot be written as UTF-8
LONE = "\ud800"


class Text(str):
    """Not a plain str."""


NO_TEXT: tuple[Any, ...] = (None, 7, True, 1.5, b"bytes", ["list"], {"a": 1}, object(), LONE)
NO_TIME: tuple[Any, ...] = (
    *("10", b"1", True, False, nan, -1, -0.001, -inf, HUGE, timedelta(seconds=-1)),
    *([], {}, object(), 1j),
)
NO_PATH_OF_A_KEY: tuple[Any, ...] = (*NO_TEXT, "", "a//b", "/a", "a b", "$x", "a" * 513, "a@0")
HOLDER = Holder("jobs", 3, "me@host pid 1", "host", 1, 0, 10.0, "", b"", b"id")

# right values, for the arguments that are not under test
RIGHT: dict[str, Any] = {
    "items": {"k": "v"},
    "key": "k",
    "keys": ["k"],
    "value": "v",
    "series": "s",
    "name": "jobs",
    "holder": HOLDER,
    "reason": "why",
    "resource": "table",
    "token": 3,
    "headers": [(b"decreed-token", b"1")],
    "cursor": None,
    "ttl": 10.0,
    "note": "",
    "info": b"",
    "endpoints": NOBODY,
}

ANY: Any = Tls
NO_SOURCE = (7, True, b"x", 1.0, ["x"], object(), "", "x", "a.token", "decreed-token-ci-x")
"""What is no source of a token."""
WRONG_TLS = (
    *(ANY(ca=7), ANY(ca="a\0"), ANY(cert=True), ANY(key=b"k")),
    *(ANY(cluster=7), ANY(lowest_version="1.1"), ANY(lowest_version=1.3)),
)

# values that a parameter refuses
WRONG: dict[str, tuple[Any, ...]] = {
    "key": NO_PATH_OF_A_KEY,
    "keys": (None, 7, "abc", b"abc", bytearray(b"abc"), [7], ["a", b"b"], ["a//b"], [LONE], [[]]),
    "after": NO_TEXT,
    "identity": (*NO_TEXT, "bob", "user/bob", "client/", "client/a/b", "node/n1", "anonymous"),
    "prefix": (*NO_TEXT, "a//b", "/", "a@1", "$x"),
    "series": (*NO_PATH_OF_A_KEY, "a@1"),
    "name": (*NO_PATH_OF_A_KEY, "a@1", "$locks/a"),
    "value": (None, 7, True, 1.5, ["list"], {"a": 1}, object(), bytearray(b"x"), LONE, Json(nan),
              Json(object()), Json(LONE), Json({1: 1, "a": 2})),
    "items": (None, 7, "ab", b"ab", [7], ["ab"], [("k",)], [("k", "v", "w")], [None], [b"ab"]),
    "content_type": (*NO_TEXT[1:], "x" * 129),
    "claimant": (*NO_TEXT[1:], "x" * 257),
    "note": (*NO_TEXT, "x" * 1025),
    "reason": (*NO_TEXT, "x" * 1025),
    "claim_id": (7, True, 1.5, ["list"], bytearray(b"x"), object(), "", b"", b"x" * 65, "x" * 65,
                 LONE),
    "timeout": NO_TIME,
    "wait": NO_TIME,
    "pause": (None, *NO_TIME),
    "ttl": (None, *NO_TIME, 0, 0.05, 3601, inf, timedelta(hours=2)),
    "first_slot": ("1", 0, -1, True, 1.0, HUGE, 10**15 + 1, nan, object()),
    "since": (*NO_TEXT[1:], "", "n1", "n1:zz:1", "n1:00:1", f"n1:{'0' * 32}:-1", ":::",
              f"{'n' * 64}:{'0' * 32}:1", f"n1:{'0' * 32}:{MAX_COUNTER + 1}", f"n1:{'0' * 32}:\uff11",
              f"n 1:{'0' * 32}:1"),
    "info": (None, 7, "text", True, ["list"], bytearray(b"x"), object(), b"x" * 16_385),
    "work": (None, 7, "text"),
    "nursery": (7, "text", object()),
    "tls": (True, 7, "ca.pem", object(), *WRONG_TLS),
    "on_lost": (7, "text", True),
    "force": (None, 0, 1, "yes"),
    "holder": (None, "me", 7, HOLDER.lease_id,
               Holder("", 3, "me", "", None, 0, 10.0, "", b"", b"id"),
               Holder("jobs", 0, "me", "", None, 0, 10.0, "", b"", b"id"),
               Holder("jobs", 3, "me", "", None, 0, 10.0, "", b"", "id"),  # type: ignore[arg-type]
               Holder(7, 3, "me", "", None, 0, 10.0, "", b"", b"id")),  # type: ignore[arg-type]
    "endpoints": (None, 7, 7400, b"a:1", True, [7400], [b"a:1"], [["a:1"]], object()),
    "cache_decrees": (None, "1", -1, True, 1.0, HUGE, inf),
    "cache_bytes": (None, "1", -1, True, 1.0, HUGE, inf),
    "cache_dir": (7, b"cache", True, ["cache"], "a\0b"),
    "resource": NO_TEXT,
    "token": (None, "1", b"1", True, 0, -1, 1.0, nan, HUGE),
    "parameter": NO_TEXT,
    "headers": (None, 7, "text", b"text", ["text"], [("decreed-token", "1")], {"decreed-token": "1"}),
}  # fmt: skip

# exceptions: parameters whose name means something else
WRONG_AT: dict[tuple[str, str], tuple[Any, ...]] = {
    ("lead", "info"): (object(), nan, {1, 2}, b"bytes"),
    ("keep_leading", "info"): (object(), nan, {1, 2}, b"bytes"),
    ("wait", "timeout"): NO_TIME,
    ("begin", "timeout"): (None, *NO_TIME),
    ("connect", "timeout"): (None, *NO_TIME),
    ("fence_sql", "token"): NO_TEXT,
    ("connect", "token"): NO_SOURCE,
    ("open_registry", "token"): NO_SOURCE,
    ("connect", "prefer"): (None, 7, "", "home ", "furthest", b"home"),
    ("open_registry", "prefer"): (None, 7, "", "home ", "furthest", b"home"),
}
# parameters whose errors name the malformed thing instead
NOUNS = {"keys": ("keys", "is no key"), "endpoints": ("endpoint",)}
# an object of a database driver, whose type we cannot know
UNCHECKED = {("pass_fence", "cursor")}


def methods(kind: type) -> list[str]:
    """The public methods of a class that take arguments."""
    return [
        name
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and len(inspect.signature(method).parameters) > 1
    ]


def parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    found = dict(inspect.signature(function).parameters)
    found.pop("self", None)
    return found


def wrong_calls(
    name: str, function: Callable[..., Any]
) -> Iterator[tuple[str, Any, tuple[Any, ...], dict[str, Any]]]:
    """Calls of a function in which one argument is wrong: its name, value, and all arguments."""
    known = parameters(function)
    for wrong in known:
        if (name, wrong) in UNCHECKED:
            continue
        assert (name, wrong) in WRONG_AT or wrong in WRONG, f"{name} has a new parameter: {wrong}"
        for value in WRONG_AT.get((name, wrong), WRONG.get(wrong, ())):
            positional: list[Any] = []
            named: dict[str, Any] = {}
            for other, parameter in known.items():
                if other != wrong and parameter.default is not inspect.Parameter.empty:
                    continue
                given = value if other == wrong else right(name, other)
                if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                    named[other] = given
                elif positional or parameter.default is inspect.Parameter.empty:
                    positional.append(given)
                else:
                    named[other] = given
            yield wrong, value, tuple(positional), named


def right(name: str, parameter: str) -> Any:
    return nothing if parameter == "work" else RIGHT[parameter]


async def nothing(_: object) -> None:
    """The work of a leader; never called here."""


def named_by(parameter: str, error: BadRequest) -> bool:
    return any(noun in str(error) for noun in NOUNS.get(parameter, (parameter,)))


async def run(made: object) -> object:
    """Use the result of a method of the asynchronous registry for the first time."""
    if isinstance(made, AsyncIterator):
        return await anext(made)
    if isinstance(made, AbstractAsyncContextManager):
        async with made:
            return None
    return await made if isinstance(made, Awaitable) else made


def run_blocking(made: object) -> object:
    """Use the result of a method of the blocking registry for the first time."""
    if isinstance(made, AbstractContextManager):
        with made:
            return None
    return next(made) if isinstance(made, Iterator) else made


def nothing_was_asked(cluster: FakeCluster) -> bool:
    return not any(node.requests for node in cluster.nodes)


@pytest.mark.anyio
@pytest.mark.parametrize("name", methods(Registry))
async def test_every_wrong_argument_of_an_asynchronous_method_is_named(name: str) -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints, timeout=1) as registry:
        method = getattr(registry, name)
        for parameter, value, positional, named in wrong_calls(name, method):
            with pytest.raises(BadRequest) as caught:
                made = method(*positional, **named)
                if name != "keep_leading" or not isinstance(made, Awaitable):
                    made = await run(made)
                else:
                    await made
                refuse_in_batch(made, value)
            assert named_by(parameter, caught.value), f"{name}({parameter}={value!r:.60})"
            assert len(str(caught.value)) < 300
        assert nothing_was_asked(cluster)


def refuse_in_batch(made: object, value: object) -> None:
    """Check that `claim_many` returns an error for the item."""
    if isinstance(made, list) and made and isinstance(made[0], BadRequest):
        raise made[0]
    raise AssertionError(f"{value!r:.60} was taken")


@pytest.mark.parametrize("name", methods(sync.Registry))
def test_every_wrong_argument_of_a_blocking_method_is_named(name: str) -> None:
    with running_cluster(1) as cluster, sync.connect(*cluster.endpoints, timeout=1) as registry:
        method = getattr(registry, name)
        for parameter, value, positional, named in wrong_calls(name, method):
            with pytest.raises(BadRequest) as caught:
                refuse_in_batch(run_blocking(method(*positional, **named)), value)
            assert named_by(parameter, caught.value), f"{name}({parameter}={value!r:.60})"
        assert nothing_was_asked(cluster)


def test_the_blocking_client_has_every_method_of_the_other_one() -> None:
    assert {*methods(Registry)} - {*methods(sync.Registry)} == {"hold", "keep_leading"}


@pytest.mark.anyio
@pytest.mark.parametrize("items", [{7: "v"}, {"k": 7}, {LONE: "v"}, {b"k": "v"}, [("k", None)]])
async def test_a_wrong_item_of_a_batch_is_an_error_of_its_own(items: Any) -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        assert [type(result) for result in await registry.claim_many(items)] == [BadRequest]
        assert nothing_was_asked(cluster)


@wraps(open_registry)
def opened(*positional: Any, **named: Any) -> Any:
    """`open_registry` as a function that is called and returns."""
    return anyio.run(partial(open_registry, *positional, **named))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "connect": connect,
    "open_registry": opened,
    "sync.connect": sync.connect,
    "Fence.check": fencing.Fence().check,
    "Fence.protects": fencing.Fence().protects,
    "fence_sql": fencing.fence_sql,
    "pass_fence": fencing.pass_fence,
    "token_of": fencing.token_of,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_wrong_argument_of_a_function_is_named(name: str) -> None:
    function = FUNCTIONS[name]
    for parameter, value, positional, named in wrong_calls(name.split(".")[-1], function):
        with pytest.raises(BadRequest) as caught:
            function(*positional, **named)
        assert named_by(parameter, caught.value), f"{name}({parameter}={value!r:.60})"


def test_every_public_function_is_in_the_tables() -> None:
    public = {name: getattr(client, name) for name in client.__all__}
    public |= {f"sync.{name}": getattr(sync, name) for name in sync.__all__}
    public |= {
        name: value
        for name, value in vars(fencing).items()
        if getattr(value, "__module__", "") == fencing.__name__ and not name.startswith("_")
    }
    functions = {name for name, value in public.items() if inspect.isfunction(value)}
    # `stale` makes an error, for users who write a fence of their own
    assert functions - {"stale"} <= {*FUNCTIONS}


def test_every_wrong_timeout_of_begin_of_a_blocking_watch_is_named() -> None:
    with running_cluster(1) as cluster, sync.connect(*cluster.endpoints) as registry:
        watching = registry.watch()
        for _, value, positional, named in wrong_calls("begin", watching.begin):
            with pytest.raises(BadRequest, match="timeout"):
                watching.begin(*positional, **named)
            assert value is not None or nothing_was_asked(cluster)


@pytest.mark.anyio
async def test_a_length_of_time_may_be_a_timedelta_everywhere() -> None:
    second = timedelta(seconds=1)
    async with cluster_of(1) as cluster, connect(cluster.endpoints, timeout=second) as registry:
        cluster.decide(await frozen(registry))
        assert (await registry.get("k", timeout=second)) is not None
        assert (await registry.wait("k", timeout=second)).text == "v"
        assert [d.key async for d in registry.list(timeout=timedelta(minutes=1))] == ["k"]
        with pytest.raises(BadRequest, match="no such request"):
            async with registry.lock("jobs", ttl=1.5 * second, wait=timedelta(0)):
                pass
        [request] = cluster.nodes[0].asked(LockRequest)
        assert (request.claim.ttl_ms, request.queue) == (1_500, False)


async def frozen(registry: Registry) -> Any:
    return (await registry.claim("k", "v", timeout=timedelta(seconds=1))).decree


@pytest.mark.anyio
async def test_endpoints_may_be_given_in_a_list() -> None:
    async with cluster_of(2) as cluster:
        for given in (
            [cluster.endpoints],
            [tuple(cluster.endpoints)],
            [",".join(cluster.endpoints)],
        ):
            async with connect(*given) as registry:
                assert len(await registry.status(timeout=1)) == 2


def test_endpoints_may_be_given_in_a_list_to_the_blocking_client() -> None:
    with running_cluster(1) as cluster, sync.connect(cluster.endpoints) as blocking:
        assert blocking.claim("k", "v").won


@pytest.mark.anyio
async def test_sent_messages_hold_plain_types_only() -> None:
    async with cluster_of(1) as cluster, connect(Text(cluster.endpoints[0])) as registry:
        claimed = await registry.claim(
            Text("k"), Text("v"), note=Text("n"), claimant=Text("me"), claim_id=Text("id")
        )
        assert claimed.won
        [request] = cluster.nodes[0].requests
        for part in (request.claim.key, request.claim.note, request.claim.claimant):
            assert type(part) is str
        assert (await registry.get(Text("k"))) == claimed.decree


def test_every_entry_of_the_tables_belongs_to_a_method() -> None:
    names = {
        parameter
        for kind in (Registry, sync.Registry)
        for name in methods(kind)
        for parameter in parameters(partial(getattr(kind, name), None))
    }
    names |= {parameter for function in FUNCTIONS.values() for parameter in parameters(function)}
    assert {*WRONG} - names == set()


assert sys.get_int_max_str_digits() < 5_000, "a number that cannot be written out is among them"
