"""Nodes as ``openssl s_client`` meets them: an implementation of TLS that is not ours."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from decreed.registry.tls.contexts import TlsFiles
from decreed.registry.types import NodeId
from decreed.registry.wire.codec import decode_batch, encode
from decreed.registry.wire.frames import FrameCutter, pack
from decreed.registry.wire.handshake import VERSION, ClientHello, ClientWelcome, Reception
from decreed.registry.wire.requests import ClaimRequest, Decreed

from ..support.certificates import Authority
from ..support.live import PATIENCE_S, Cluster, live_cluster, live_config
from ..support.secured import as_client, credentials
from ..support.world import claim

pytestmark = [
    pytest.mark.trio,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here"),
]
UPDATES = 60


@asynccontextmanager
async def node(authority: Authority) -> AsyncIterator[Cluster]:
    used = {NodeId("n1"): credentials(authority, "n1")}
    alice = as_client(authority.client("alice"))
    async with live_cluster(await live_config(1), used, alice) as cluster:
        with trio.fail_after(PATIENCE_S):
            yield cluster


def s_client(cluster: Cluster, files: TlsFiles, *options: str) -> list[str]:
    host, port = cluster.config.address(NodeId("n1"))
    words = ["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", str(files.ca)]
    if files.certificate is not None:
        words += ["-cert", str(files.certificate), "-key", str(files.key)]
    return [*words, "-verify_return_error", *options]


async def said(words: list[str]) -> str:
    """All that it prints; its standard input is empty."""
    done = await trio.run_process(
        words, stdin=b"", capture_stdout=True, capture_stderr=True, check=False
    )
    return (done.stdout + done.stderr).decode(errors="replace")


async def test_s09_it_gets_in_with_the_name_of_our_protocol_and_not_without(
    authority: Authority,
) -> None:
    async with node(authority) as cluster:
        alice = authority.client("alice")
        got = await said(s_client(cluster, alice, "-alpn", "decreed"))
        assert "Verification: OK" in got and "ALPN protocol: decreed" in got
        assert "TLSv1.3" in got and "CN = nobody" in got
        assert "New Session Ticket" not in got, "S08: a ticket would outlive the CA"
        assert "ALPN protocol" not in await said(s_client(cluster, alice))
        older = await said(s_client(cluster, alice, "-alpn", "decreed", "-tls1_2"))
        assert "protocol version" in older and "Cipher is (NONE)" in older


async def test_s09_what_it_sends_is_heard(authority: Authority) -> None:
    hello = b"".join(pack([encode(ClientHello("decreed", VERSION, VERSION, "openssl"))]))
    async with node(authority) as cluster:
        words = s_client(cluster, authority.client("alice"), "-alpn", "decreed", "-quiet")
        process = await trio.lowlevel.open_process(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            await process.stdin.send_all(hello)
            cutter, heard = FrameCutter(1 << 20), list[bytes]()
            while not heard:
                heard += cutter.feed(bytes(await process.stdout.receive_some(1 << 16)))
            [welcome] = decode_batch(heard[0], Reception)
            assert isinstance(welcome, ClientWelcome) and welcome.node == "n1"
        finally:
            process.kill()
            await process.wait()
            await process.stdin.aclose()
            await process.stdout.aclose()


async def test_s11_a_certificate_of_another_ca_gets_an_alert(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path)
    async with node(authority) as cluster:
        mallory = stranger.client("mallory")._replace(ca=authority.ca)
        words = s_client(cluster, mallory, "-alpn", "decreed", "-ign_eof")
        assert "alert unknown ca" in await said(words)
        others = authority.client("alice")._replace(ca=stranger.ca)
        assert "certificate verify failed" in await said(
            s_client(cluster, others, "-alpn", "decreed")
        )


async def test_s05_key_updates_are_answered_and_keep_nobody_out(authority: Authority) -> None:
    """Each ``K`` is a key update that wants one in return."""
    async with node(authority) as cluster:
        words = s_client(cluster, authority.client("alice"), "-alpn", "decreed")
        process = await trio.lowlevel.open_process(
            words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stdin is not None and process.stderr is not None
        updates = 0
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_update, process.stdin)
                victim = await cluster.client("n1")
                for number in range(20):
                    wanted = claim(f"k{number}", b"v", b"%d" % number)
                    answer = await victim.ask(ClaimRequest(number, 60_000, False, wanted))
                    assert isinstance(answer, Decreed)
                while updates < UPDATES:
                    updates += (await process.stderr.receive_some(4096)).count(b"KEYUPDATE")
                nursery.cancel_scope.cancel()
        finally:
            process.kill()
            await process.wait()
            await process.stdin.aclose()
            await process.stderr.aclose()


async def _update(stdin: trio.abc.SendStream) -> None:
    while True:
        await stdin.send_all(b"K\n")
        await trio.sleep(0.002)
