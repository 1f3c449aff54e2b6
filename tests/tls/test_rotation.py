"""S03, S14 to S16: certificates and CAs change under load, and nothing that is open is lost by it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import trio

from decreed import client
from decreed.client import Tls
from decreed.registry.server import security_watch
from decreed.registry.server.credentials import Credentials
from decreed.registry.tls.contexts import TlsFiles
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import ClaimRequest, Decreed

from ..support.certificates import CLUSTER, EXPIRED, Authority, Validity
from ..support.live import PATIENCE_S, Cluster, RawClient, live_cluster, live_config
from ..support.secured import as_client
from ..support.world import claim

pytestmark = pytest.mark.trio

NODES = [NodeId(name) for name in ("n1", "n2", "n3")]
OUTSTANDING = 256
CLAIMS, LOCKS = 32, 4


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_watch, "LOOK_SECONDS", 0.05)


class Place:
    """The files of one node or client, which its operator replaces as he likes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.files = TlsFiles(folder / "this.crt", folder / "this.key", folder / "ca.pem")
        assert self.files.certificate is not None and self.files.key is not None
        self.certificate, self.key = self.files.certificate, self.files.key
        self.ca = folder / "ca.pem"

    def trust(self, *authorities: Authority) -> None:
        self.ca.write_bytes(b"".join(each.pem for each in authorities))

    def take(self, files: TlsFiles) -> None:
        """One after the other, as they are often written."""
        assert files.certificate is not None and files.key is not None
        self.certificate.write_bytes(files.certificate.read_bytes())
        self.key.write_bytes(files.key.read_bytes())

    @property
    def tls(self) -> Tls:
        return Tls(self.ca, self.certificate, self.key)


class World:
    """Three nodes and a client, with files of an old CA; a new one is to take over."""

    def __init__(self, path: Path) -> None:
        for name in ("old", "new"):
            (path / name).mkdir()
        self.old, self.new = Authority(path / "old"), Authority(path / "new")
        self.places: dict[str, Place] = {}
        for name in (*NODES, "alice"):
            place = self.places[name] = Place(path / name)
            place.trust(self.old)
            place.take(self.issued(self.old, name))
        self.nodes = {name: Credentials(self.places[name].files, CLUSTER, name) for name in NODES}

    def issued(self, authority: Authority, name: str) -> TlsFiles:
        return authority.client(name) if name == "alice" else authority.node(name)

    async def settled(self) -> None:
        """Wait until every node uses what is on its disk; nobody sends a signal."""
        for node in self.nodes.values():
            while node.fault or node._state != node._files.state():
                await trio.sleep(0.01)

    async def faulty(self, node: str, fault: str) -> None:
        """Wait until a node says what is wrong with its files."""
        while fault not in self.nodes[NodeId(node)].fault:
            await trio.sleep(0.01)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Cluster]:
    dials = as_client(world.places["alice"].files)
    async with live_cluster(await live_config(3), world.nodes, dials) as cluster:
        with trio.fail_after(PATIENCE_S):
            yield cluster


async def greeted(cluster: Cluster, files: TlsFiles, node: str = "n1") -> bool:
    """Whether a node lets in who comes with these files."""
    cluster.dials = as_client(files)
    try:
        await cluster.client(node)
    except (trio.BrokenResourceError, EOFError):
        return False
    return True


# -- bad files under load


async def _mismatched(world: World) -> str:
    world.places["n1"].key.write_bytes(_key_of(world.old.node("n1")))
    return "the key is not that of the certificate"


async def _half_written(world: World) -> str:
    good = world.places["n1"].certificate.read_bytes()
    world.places["n1"].certificate.write_bytes(good[: len(good) // 2])
    return "not a certificate and its key in PEM"


async def _expired(world: World) -> str:
    world.places["n1"].take(world.old.node("n1", valid=EXPIRED))
    return "has expired"


async def _not_yet_valid(world: World) -> str:
    later = Validity(timedelta(days=1), timedelta(days=3))
    world.places["n1"].take(world.old.node("n1", valid=later))
    return "not yet valid"


async def _of_another_node(world: World) -> str:
    world.places["n1"].take(world.old.node("n2"))
    return "is of node/n2, not of node/n1"


async def _of_another_cluster(world: World) -> str:
    world.places["n1"].take(world.old.node("n1", cluster="other"))
    return "of cluster 'other'"


async def _of_a_client(world: World) -> str:
    world.places["n1"].take(world.old.client("n1"))
    return "does not work with"


async def _of_a_ca_that_is_not_trusted(world: World) -> str:
    world.places["n1"].take(world.new.node("n1"))
    return "no CA of the bundle"


def _key_of(files: TlsFiles) -> bytes:
    assert files.key is not None
    return files.key.read_bytes()


BAD: list[Callable[[World], Awaitable[str]]] = [
    _mismatched,
    _half_written,
    _expired,
    _not_yet_valid,
    _of_another_node,
    _of_another_cluster,
    _of_a_client,
    _of_a_ca_that_is_not_trusted,
]


@pytest.mark.chaos
async def test_S14_files_are_reloaded_under_load_and_bad_ones_are_refused_aloud(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    async with running(world) as cluster:
        alice = await cluster.client("n1")
        n1 = world.nodes[NodeId("n1")]
        asked = answered = 0
        enough = trio.Event()

        def wanted(number: int) -> ClaimRequest:
            return ClaimRequest(number, 60_000, False, claim(f"k{number}", b"v", b"%d" % number))

        async def ask() -> None:
            nonlocal asked
            while not enough.is_set():
                begun = range(asked + 1, answered + OUTSTANDING + 1)
                asked = max(asked, answered + OUTSTANDING)
                await alice.say(*map(wanted, begun))
                await trio.sleep(0.01)

        async def hear() -> None:
            nonlocal answered
            while not enough.is_set() or answered < asked:
                if answered == asked:
                    await trio.sleep(0.001)
                    continue
                assert isinstance(await alice.hear(), Decreed)
                answered += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(hear)
            for spoil in BAD:
                before, used = answered, n1.contexts
                await world.faulty("n1", await spoil(world))
                assert n1.contexts is used
                assert await greeted(cluster, world.old.client("bob")), "the old go on"
                world.places["n1"].take(world.old.node("n1"))
                await world.settled()
                assert n1.contexts is not used
                assert await greeted(cluster, world.old.client("bob"))
                while answered < before + OUTSTANDING:
                    await trio.sleep(0.01)
            enough.set()
        assert answered == asked > len(BAD) * OUTSTANDING


# -- another CA


@pytest.mark.chaos
async def test_S16_the_ca_is_changed_with_claims_outstanding_and_locks_held(
    tmp_path: Path,
) -> None:
    """Every claim settles, no lock is lost, and at the end the old CA counts no more."""
    world = World(tmp_path)
    async with running(world) as cluster:
        at = [address for _, address in cluster.config.addresses]
        alice = world.places["alice"]
        settled: dict[str, bytes] = {}
        held, done = [0], trio.Event()

        async with (
            client.connect(at, tls=alice.tls, timeout=PATIENCE_S) as registry,
            trio.open_nursery() as nursery,
        ):

            async def claims(number: int) -> None:
                count = 0
                while not done.is_set():
                    key, count = f"rotate/{number}/{count}", count + 1
                    claimed = await registry.claim(key, key.encode())
                    assert claimed.won
                    settled[key] = claimed.decree.value

            async def holds(number: int) -> None:
                async with registry.lock(f"lock/{number}", ttl=30.0) as hold:
                    held[0] += 1
                    await done.wait()
                    hold.ensure_held()
                    held[0] -= 1

            async def goes_on() -> None:
                enough = len(settled) + CLAIMS
                while len(settled) < enough:
                    await trio.sleep(0.01)

            for number in range(CLAIMS):
                nursery.start_soon(claims, number)
            for number in range(LOCKS):
                nursery.start_soon(holds, number)
            while held[0] < LOCKS:
                await trio.sleep(0.01)
            await _change_ca(world, cluster, goes_on)
            done.set()
        assert held == [0], "each was held to the end"
        await _check(at, alice.tls, settled)


async def _check(at: list[str], tls: Tls, settled: dict[str, bytes]) -> None:
    """Each claim that was won is what a new client reads."""
    async with client.connect(at, tls=tls, timeout=PATIENCE_S) as registry:
        for key, value in settled.items():
            found = await registry.get(key)
            assert found is not None and found.value == value == key.encode()


async def _change_ca(
    world: World, cluster: Cluster, goes_on: Callable[[], Awaitable[None]]
) -> None:
    """All trust both CAs, then all take certificates of the new one, then the old one goes."""
    await _each(world, goes_on, lambda place, _: place.trust(world.old, world.new))
    old_alice = world.old.client("alice")._replace(ca=world.old.ca)
    assert await greeted(cluster, old_alice)
    await _each(world, goes_on, lambda place, name: place.take(world.issued(world.new, name)))
    await _each(world, goes_on, lambda place, _: place.trust(world.new))
    for node in NODES:
        stolen = old_alice._replace(ca=world.new.ca)
        assert not await greeted(cluster, stolen, node), "the old CA is out"
        assert await greeted(cluster, world.new.client("bob"), node)
    for node in NODES:  # all links are made again, under the new CA alone
        await cluster.restart(node)
        await goes_on()


async def _each(
    world: World,
    goes_on: Callable[[], Awaitable[None]],
    change: Callable[[Place, str], None],
) -> None:
    """Change the files of each node and client in turn, under load."""
    for name, place in world.places.items():
        change(place, name)
        await world.settled()
        await goes_on()


# -- what operators do with their files


async def test_S14_a_mounted_secret_is_swapped_by_a_link(tmp_path: Path) -> None:
    """As Kubernetes does it: files are links into a folder, which is itself a link that is replaced."""
    authority = Authority(tmp_path)
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        issued = authority.node("n1")
        for source, target in zip(issued[:2], ("tls.crt", "tls.key"), strict=True):
            assert source is not None
            (folder / target).write_bytes(Path(str(source)).read_bytes())
        (folder / "ca.crt").write_bytes(authority.pem)
    (tmp_path / "..data").symlink_to("first")
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (mounted / name).symlink_to(Path("..") / "..data" / name)
    files = TlsFiles(mounted / "tls.crt", mounted / "tls.key", mounted / "ca.crt")
    node = Credentials(files, CLUSTER, "n1")
    used = node.contexts
    node.look()
    assert node.contexts is used
    (tmp_path / "..data_tmp").symlink_to("second")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    node.look()
    assert not node.fault and node.contexts.marks != used.marks


async def test_S14_a_key_that_follows_its_certificate_is_waited_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    place = Place(tmp_path / "n1")
    place.trust(authority)
    place.take(authority.node("n1"))
    node = Credentials(place.files, CLUSTER, "n1")
    used, renewed = node.contexts, authority.node("n1")
    assert renewed.certificate is not None
    place.certificate.write_bytes(renewed.certificate.read_bytes())
    node.look()
    assert "the key is not that of the certificate" in node.fault and node.contexts is used
    place.key.write_bytes(_key_of(renewed))
    node.look()
    assert node.fault == "" and node.contexts.marks != used.marks


# -- strangers


@pytest.mark.chaos
async def test_S02_half_handshakes_by_the_thousand_keep_nobody_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with running(world) as cluster:
        victim, halves = await cluster.client("n1"), list[RawClient]()
        for number in range(2_000):
            half = RawClient(await cluster.plain("n1"))
            halves.append(half)
            begun = b"\x16\x03\x01\x02\x00" + bytes(number % 200)
            await half.stream.send_all(begun)
            if number % 50 == 0:
                wanted = claim(f"k{number}", b"v", b"%d" % number)
                answer = await victim.ask(ClaimRequest(number, 60_000, False, wanted))
                assert isinstance(answer, Decreed)
                assert await greeted(cluster, world.old.client("bob"))
            if number >= 400:
                await trio.aclose_forcefully(halves[number - 400].stream)
