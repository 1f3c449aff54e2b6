"""The signing key of a directory: made once, secret, and never another one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from decreed.registry.config import ClusterConfig
from decreed.registry.errors import Damaged, MissingExtra
from decreed.storage.directory import open_directory
from decreed.storage.signing_key import NAME, signing_key

from .conftest import NODE


def key_of(path: Path, config: ClusterConfig) -> bytes:
    """Open and close the directory; returns the public key in its identity."""
    storage = open_directory(path, config, NODE)
    storage.close()
    key = storage.recovered().identity.signing_key
    assert key is not None
    return key


def test_a_directory_has_one_key_from_its_first_opening_on(
    tmp_path: Path, config: ClusterConfig
) -> None:
    first = key_of(tmp_path / "data", config)
    text = (tmp_path / "data" / NAME).read_text()
    assert key_of(tmp_path / "data", config) == first
    assert (tmp_path / "data" / NAME).read_text() == text
    assert key_of(tmp_path / "other", config) != first


def test_the_file_has_the_private_key_of_the_public_one_in_the_identity(
    tmp_path: Path, config: ClusterConfig
) -> None:
    public = key_of(tmp_path / "data", config)
    lines = (tmp_path / "data" / NAME).read_text().splitlines()
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(lines[1].removeprefix("private ")))
    assert private.public_key().public_bytes_raw() == public
    assert lines[2] == f"public {public.hex()}"


def test_only_the_owner_can_read_it_even_if_a_copy_was_made_readable(
    tmp_path: Path, config: ClusterConfig
) -> None:
    before = os.umask(0)
    try:
        key_of(tmp_path / "data", config)
        path = tmp_path / "data" / NAME
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        key_of(tmp_path / "data", config)
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


@pytest.mark.parametrize("form", ["format-5", "format-6"])
def test_a_directory_of_an_earlier_build_gets_a_key_when_it_is_opened(
    form: str, tmp_path: Path, config: ClusterConfig
) -> None:
    data = shutil.copytree(Path(__file__).with_name(form), tmp_path / "data")
    assert not (data / NAME).exists()
    assert key_of(data, config) == key_of(data, config)


def test_a_start_that_was_killed_after_the_key_was_made_goes_on_with_it(tmp_path: Path) -> None:
    made = signing_key(tmp_path, None)
    assert signing_key(tmp_path, None) == made == signing_key(tmp_path, made)


def test_a_half_written_key_of_a_killed_start_is_no_key(tmp_path: Path) -> None:
    (tmp_path / NAME).with_suffix(".new").write_text("decreed signing")
    assert len(signing_key(tmp_path, None)) == 32
    assert os.listdir(tmp_path) == [NAME]


def test_a_key_that_is_gone_is_never_replaced_by_another_one(
    tmp_path: Path, config: ClusterConfig
) -> None:
    key_of(tmp_path / "data", config)
    (tmp_path / "data" / NAME).unlink()
    for _ in range(2):
        with pytest.raises(Damaged, match=f"{NAME}, the signing key of the node, is missing.*copy"):
            open_directory(tmp_path / "data", config, NODE)
    assert not (tmp_path / "data" / NAME).exists()


def test_the_key_of_another_directory_is_refused(tmp_path: Path, config: ClusterConfig) -> None:
    key_of(tmp_path / "data", config)
    key_of(tmp_path / "other", config)
    shutil.copy(tmp_path / "other" / NAME, tmp_path / "data" / NAME)
    with pytest.raises(Damaged, match="is the signing key of another directory"):
        open_directory(tmp_path / "data", config, NODE)


def test_every_changed_byte_of_the_file_is_found_and_no_message_has_the_key(tmp_path: Path) -> None:
    public = signing_key(tmp_path, None)
    path = tmp_path / NAME
    sound = path.read_bytes()
    secret = sound.split()[6].decode()
    for position in range(len(sound)):
        path.write_bytes(sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :])
        with pytest.raises(Damaged, match="is damaged") as damaged:
            signing_key(tmp_path, public)
        assert secret[:16] not in str(damaged.value)
    for size in range(len(sound)):
        path.write_bytes(sound[:size])
        with pytest.raises(Damaged, match="is damaged"):
            signing_key(tmp_path, public)


def test_without_the_library_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(MissingExtra, match=r"pip install 'decreed\[server\]'"):
        signing_key(tmp_path, None)


PROGRAM = """
import sys
from pathlib import Path
from decreed.storage.directory import open_directory
from tests.storage.conftest import NODE, make_config
open_directory(Path(sys.argv[1]), make_config(), NODE).close()
print(*sys.modules)
"""


def test_a_start_of_a_directory_that_has_a_key_loads_no_cryptography(
    tmp_path: Path, config: ClusterConfig
) -> None:
    key_of(tmp_path / "data", config)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "decreed.storage.signing_key" in done.stdout.split()
    assert "cryptography" not in done.stdout.split()
