"""The load generator finds the home of a key as nodes do."""

import ctypes
import hashlib
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from bench.load import SOURCES, Load, LoadGenerator, options, outcome
from bench.systems.cluster import NotReady
from bench.systems.decreed import DecreedSystem
from bench.systems.zookeeper import ZooKeeper

WELCOME = bytes.fromhex("00000003 81 81 02")
"""All that the generator reads of a welcome: a frame with one message, and its kind."""

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


@needs_gcc
def test_the_hash_of_the_generator_is_blake2b(tmp_path: Path) -> None:
    library = tmp_path / "hash.so"
    command = ["gcc", "-shared", "-fPIC", "-o", str(library), str(SOURCES / "blake2b.c")]
    subprocess.run(command, check=True)
    function = ctypes.CDLL(str(library)).blake2b_8
    function.restype, function.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t]
    for size in (0, 1, 17, 127, 128, 129, 256, 400):
        text = bytes(number % 251 for number in range(size))
        expected = hashlib.blake2b(text, digest_size=8).digest()
        assert function(text, size) == int.from_bytes(expected, "big"), size


@needs_gcc
def test_the_generator_compiles_without_a_warning(tmp_path: Path) -> None:
    sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
    strict = ["gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(
        [*strict, "-o", str(tmp_path / "generator"), *sources], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_source_file_is_short() -> None:
    for path in SOURCES.iterdir():
        assert len(path.read_text().splitlines()) <= 400, path.name


@needs_gcc
def test_an_error_of_the_compiler_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.c").write_text("this is no program")
    monkeypatch.setattr("bench.load.SOURCES", tmp_path)
    with pytest.raises(NotReady, match="does not compile"):
        LoadGenerator.build(tmp_path)


@needs_gcc
def test_a_home_that_no_key_has_is_refused(tmp_path: Path) -> None:
    """A loop that looks for such a key would never end."""
    with socket.create_server(("127.0.0.1", 0)) as node:
        port = node.getsockname()[1]
        generator = LoadGenerator.build(tmp_path)
        cluster = DecreedSystem(tmp_path / "none", 1)
        cluster.give_ports_back()
        cluster.ports = (port,)
        load = Load(home="n9", seconds=0.1, warm_up=0.0)
        running = generator.begin(cluster, load)
        link, _ = node.accept()
        with link:
            link.recv(100)
            link.sendall(WELCOME)
            with pytest.raises(NotReady, match="n9 is the home of no key"):
                outcome(running, load)


def test_each_system_gets_its_own_names_of_keys_and_locks(tmp_path: Path) -> None:
    ours, theirs = DecreedSystem(tmp_path), ZooKeeper(tmp_path)
    line = " ".join(options(ours, Load(outstanding=64)))
    assert f"n1=127.0.0.1:{ours.ports[0]}" in line
    assert "--prefix b1/ --clients 2 --outstanding 64" in line
    assert "--home" not in line and "--wire" not in line
    assert "--home n1" in " ".join(options(ours, Load(home="n1")))
    line = " ".join(options(theirs, Load(op="lock", clients=8, robust=True)))
    assert "--lock /lock1 --clients 8" in line
    assert line.endswith("--robust")
    for cluster in (ours, theirs):
        cluster.give_ports_back()
