#!/usr/bin/env bash
# cbor2 6.3.0: an interrupt that comes while it asks for the type of a value is reported as ignored, and lost.
#
# Guess from memory: `KeyboardInterrupt` comes out of `dumps` as it comes out of any call, wherever it is raised.
# Seen: version 6 asks Python whether a value is a mapping or a sequence, which runs Python code (`abc`). Whatever that
#   code raises is handed to `sys.unraisablehook`, and encoding goes on. So Ctrl-C in that moment only prints "Exception
#   ignored in", and the program runs on: about one in sixty that were sent while a request was being encoded.
#   A program must send such an interrupt again from `sys.unraisablehook`.
# Source: the output below; PyO3's type checks of `PyMapping` and `PySequence` report errors so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > try.py <<'PY'
import sys

import cbor2

lost = []
sys.unraisablehook = lambda args: lost.append(args.exc_type.__name__)


class Interrupted:
    """As if the signal came while its class is asked for."""

    @property
    def __class__(self):
        raise KeyboardInterrupt


try:
    cbor2.dumps(Interrupted())
    ended = "nothing"
except BaseException as error:
    ended = type(error).__name__
print("raised:", ended, "lost:", *lost)
assert (ended, set(lost)) == ("CBOREncodeError", {"KeyboardInterrupt"})
PY
python3 -m venv venv
venv/bin/pip install -q "cbor2==6.3.0" 2>/dev/null
venv/bin/python try.py
