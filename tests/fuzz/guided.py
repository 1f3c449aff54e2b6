"""Coverage-guided fuzzing: ``python -m tests.fuzz.guided TARGET --seconds N``.

Needs atheris, which is not a dependency of the tests: ``pip install atheris``. It starts from the kept
corpus of the target and works in a folder of its own, so that the checkout is not changed. With
``--keep --work FOLDER`` it does not search: it adds the fewest inputs of FOLDER that reach new code to
``corpus/TARGET/``. An input that breaks the target is written beside the working corpus, and named.
"""

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
MISSING = "the guided run needs atheris: pip install atheris (the property tests run without it)"
NAMES = (
    "frames",
    "wire",
    "record",
    "key",
    "config",
    "options",
    "settings_file",
    "snapshot",
    "policy",
    "token",
    "named",
)


def main(arguments: Sequence[str]) -> int:
    """Fuzz one target; libFuzzer ends the process itself, and starts it again to merge."""
    options, flags = _parser().parse_known_args(arguments)
    options.work = options.work and options.work.resolve()
    try:
        atheris: Any = import_module("atheris")
    except ImportError:
        print(MISSING, file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["decreed", "cbor2", "tomllib"]):
        from .targets import TARGETS
    work = options.work or Path(tempfile.mkdtemp(prefix=f"fuzz-{options.target}-"))
    work.mkdir(parents=True, exist_ok=True)
    print(f"working in {work}", file=sys.stderr)
    if not flags:
        flags = _merge(options, work) if options.keep else _search(options, work)
    atheris.Setup([_command(options.target, work), *flags], TARGETS[options.target])
    atheris.Fuzz()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--work", type=Path, help="folder to work in; a new one by default")
    parser.add_argument("--keep", action="store_true", help="merge --work into the kept corpus")
    return parser


def _search(options: argparse.Namespace, work: Path) -> list[str]:
    return [
        f"-max_total_time={options.seconds}",
        "-max_len=8192",
        "-timeout=10",
        "-rss_limit_mb=1024",
        f"-artifact_prefix={work}{os.sep}broken-",
        "-print_final_stats=1",
        str(work),
        str(CORPUS / options.target),
    ]


def _merge(options: argparse.Namespace, work: Path) -> list[str]:
    return ["-merge=1", str(CORPUS / options.target), str(work)]


def _command(target: str, work: Path) -> str:
    """A command with which libFuzzer can start this run again, followed by its own flags."""
    script = work.parent / f"{work.name}.sh"
    again = [sys.executable, "-m", "tests.fuzz.guided", target, "--work", str(work)]
    script.write_text(f'#!/bin/sh\ncd {shlex.quote(str(ROOT))}\nexec {shlex.join(again)} "$@"\n')
    script.chmod(0o755)
    return str(script)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
