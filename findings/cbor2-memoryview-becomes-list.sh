#!/usr/bin/env bash
# cbor2 6.3.0: a memoryview or an array is encoded as a list of numbers; 5.7.1 refused both with an error.
#
# Guess from memory: a memoryview, like bytes and bytearray, becomes a byte string, or is refused as in version 5.
# Seen: version 6 encodes any registered `Sequence` that it knows no better way for as an array. Both types are
#   registered, so a slice of a received buffer that was sent on without `bytes(...)` arrives as a list of integers, up to
#   twice as long, with no error on either side. A bytearray still becomes a byte string. Code that relied on the
#   error of version 5 as its type check loses it with the upgrade.
# Source: the output below; cbor2's notes for version 6 speak of encoding by abstract base class.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > try.py <<'PY'
import array
import sys

import cbor2


def shown(value):
    try:
        return repr(cbor2.loads(cbor2.dumps(value)))
    except Exception as error:
        return type(error).__name__


seen = [shown(value) for value in (b"ab", bytearray(b"ab"), memoryview(b"ab"), array.array("B", b"ab"))]
print(sys.argv[1], "bytes, bytearray, memoryview, array:", ", ".join(seen))
assert seen == sys.argv[2].split("|"), f"expected {sys.argv[2]}"
PY
for case in "5.7.1=b'ab'|b'ab'|CBOREncodeTypeError|CBOREncodeTypeError" "6.3.0=b'ab'|b'ab'|[97, 98]|[97, 98]"; do
  version=${case%%=*}
  python3 -m venv "venv-$version"
  "venv-$version/bin/pip" install -q "cbor2==$version" 2>/dev/null
  "venv-$version/bin/python" try.py "$version" "${case#*=}"
done
