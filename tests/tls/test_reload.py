"""S03: certificates and CAs change while a node runs. What was taken out counts no more."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.asymmetric import ed25519

from decreed.registry.errors import ProtocolError
from decreed.registry.replica.step.events import LinksSecured
from decreed.registry.server.credentials import Credentials
from decreed.registry.server.securing import Securing
from decreed.registry.server.security_watch import DAY_S, HOUR_S, Reminders, SecurityWatch
from decreed.registry.tls.contexts import TlsFiles, client_context
from decreed.registry.tls.session import Session
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import ClaimRequest, Decreed

from ..support.certificates import CLUSTER, Authority, Validity
from ..support.live import RawClient, live_cluster, live_config
from ..support.world import claim


class Folder:
    """The files of a node, as its operator changes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.old, self.new = (Authority(path / name) for name in ("old", "new"))
        self.bundle = path / "bundle.pem"
        self.trust(self.old)
        self.files = TlsFiles(path / "node.crt", path / "node.key", self.bundle)

    def trust(self, *authorities: Authority) -> None:
        self.bundle.write_bytes(b"".join(each.pem for each in authorities))

    def take(self, files: TlsFiles) -> None:
        """Put this certificate and key in place."""
        for source, target in zip(files[:2], self.files[:2], strict=True):
            assert source is not None and target is not None
            target.write_bytes(source.read_bytes())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    made = Folder(tmp_path)
    made.take(made.old.node("n1"))
    return made


def credentials(folder: Folder) -> Credentials:
    return Credentials(folder.files, CLUSTER, "n1")


def dial(node: Credentials, files: TlsFiles) -> tuple[Session, Session]:
    """Two sides after a handshake of a client with these files.

    Raises:
        ProtocolError: if one of them does not trust the other.
    """
    ours = Session(client_context(files), "dials", "127.0.0.1")
    theirs = Session(node.contexts.accepting, "accepts")
    while not (ours.shaken and theirs.shaken):
        if not ours.shaken:
            ours.handshake(theirs.owed())
        theirs.handshake(ours.owed())
    return ours, theirs


def test_S03_a_removed_ca_is_refused_afterwards_and_an_open_connection_goes_on(
    folder: Folder,
) -> None:
    node, alice = credentials(folder), folder.old.client("alice")
    ours, theirs = dial(node, alice)
    folder.trust(folder.old, folder.new)
    node.reload()
    both = folder.bundle.read_bytes()
    folder.take(folder.new.node("n1"))
    node.reload()
    (folder.path / "both.pem").write_bytes(both)
    for files in (alice, folder.new.client("bob")):
        dial(node, files._replace(ca=folder.path / "both.pem"))
    folder.trust(folder.new)
    node.reload()
    assert not node.fault
    with pytest.raises(ProtocolError, match="no CA of the bundle"):
        dial(node, alice._replace(ca=folder.path / "both.pem"))
    dial(node, folder.new.client("bob"))
    assert theirs.open(ours.seal(b"still here")) == b"still here"


def test_S03_a_bad_file_is_refused_aloud_and_the_old_go_on(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    node, alice = credentials(folder), folder.old.client("alice")
    used = node.contexts
    other = folder.old.node("n1")
    key = folder.files.key
    assert key is not None and other.key is not None
    good = key.read_bytes()
    bad = {
        "the key is not that of the certificate": other.key.read_bytes(),
        "not a certificate and its key in PEM": b"half a fi",
        "n1.key: ": None,
    }
    for content in bad.values():
        if content is None:
            key.unlink()
        else:
            key.write_bytes(content)
        for _ in range(2):
            node.reload()
            assert node.fault and node.contexts is used
        dial(node, alice)
    folder.take(folder.old.node("n2"))
    node.reload()
    assert "node/n2, not of node/n1" in node.fault and node.contexts is used
    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 4  # each fault once, however often it is met
    folder.take(folder.old.node("n1"))
    key.write_bytes(good)
    folder.take(other)
    node.reload()
    assert not node.fault and node.contexts is not used
    dial(node, alice)


def test_S03_another_kind_of_key_takes_over(folder: Folder) -> None:
    """A pair of another kind beside the old one in a live context would never be used."""
    node, alice = credentials(folder), folder.old.client("alice")
    before = dial(node, alice)[0].certificate
    folder.take(folder.old.node("n1", key=ed25519.Ed25519PrivateKey.generate()))
    node.reload()
    assert not node.fault
    after = dial(node, alice)[0].certificate
    assert before is not None and after is not None
    assert before["serialNumber"] != after["serialNumber"]


@pytest.mark.trio
async def test_changed_files_are_noticed_without_a_signal(
    folder: Folder, autojump_clock: trio.testing.MockClock
) -> None:
    node, told = credentials(folder), list[LinksSecured]()
    watch = SecurityWatch(Securing(CLUSTER, "n1", node), told.append, insecure=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        await trio.sleep(60)
        first = node.contexts
        folder.take(folder.old.node("n1"))
        await trio.sleep(6)
        assert node.contexts is not first
        assert folder.files.key is not None
        folder.files.key.write_bytes(b"")
        await trio.sleep(6)
        assert node.fault
        folder.take(folder.old.node("n1"))
        await trio.sleep(6)
        assert not node.fault
        nursery.cancel_scope.cancel()
    assert any(each.fault for each in told)
    assert (told[-1].expires_ms, told[-1].fault) == (int(node.expires_s * 1000), "")


def test_an_expiry_is_said_each_day_from_30_days_on_and_each_hour_at_the_end(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.take(folder.old.node("n1", valid=Validity(ends=timedelta(days=60))))
    node, reminders = credentials(folder), Reminders()
    end = node.expires_s

    def lines(begin_s: float, end_s: float) -> int:
        caplog.clear()
        now = begin_s
        while now < end_s:
            reminders.say((), node.certificates(), now)
            now += 600
        return len(caplog.records)

    assert lines(end - 40 * DAY_S, end - 30 * DAY_S) == 0
    assert lines(end - 30 * DAY_S + 1, end - 20 * DAY_S) == 10
    assert lines(end - DAY_S, end) == DAY_S // HOUR_S
    assert lines(end + HOUR_S, end + 3 * HOUR_S) == 2  # and after it


@pytest.mark.trio
async def test_S03_all_is_rotated_under_load(folder: Folder) -> None:
    """A new CA, with claims outstanding all the time; no connection of the load is dropped."""
    node = credentials(folder)
    dials = client_context(TlsFiles(ca=folder.old.ca), check_host=False)
    config = await live_config(1)
    async with live_cluster(config, {NodeId("n1"): node}, dials) as cluster:
        loads = [await cluster.client("n1") for _ in range(4)]
        rotated = trio.Event()
        counts = [0] * len(loads)

        async def load(number: int, client: RawClient) -> None:
            while not (rotated.is_set() and counts[number] > 20):
                counts[number] += 1
                key = f"k{number}/{counts[number]}"
                wanted = claim(key, b"v", key.encode())
                answer = await client.ask(ClaimRequest(counts[number], 60_000, False, wanted))
                assert isinstance(answer, Decreed)

        async with trio.open_nursery() as nursery:
            for number, client in enumerate(loads):
                nursery.start_soon(load, number, client)
            folder.trust(folder.old, folder.new)
            node.reload()
            folder.take(folder.new.node("n1"))
            node.reload()
            folder.trust(folder.new)
            node.reload()
            assert not node.fault
            cluster.dials = client_context(folder.new.client("alice"), check_host=False)
            await cluster.client("n1")
            cluster.dials = client_context(
                folder.old.client("alice")._replace(ca=folder.new.ca), check_host=False
            )
            with pytest.raises((trio.BrokenResourceError, EOFError)):
                await cluster.client("n1")
            rotated.set()
