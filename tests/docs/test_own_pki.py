"""The page about one's own PKI does what it says, with the real openssl."""

import shutil
from pathlib import Path

import pytest

from .pages import ROOT, blocks, commands
from .shells import Shell

PAGE = ROOT / "docs" / "how-to" / "own-pki.md"


def test_openssl_makes_certificates_that_are_as_they_should_be(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command here")
    shell = Shell(tmp_path, 7400)
    try:
        for block in blocks(PAGE, "console"):
            for command in commands(block):
                assert shell.check(command) == 0, f"{block}: $ {command.text}"
    finally:
        shell.close()
