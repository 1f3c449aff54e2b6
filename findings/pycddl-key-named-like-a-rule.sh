#!/usr/bin/env bash
# pycddl 0.6.4: in an array, the label of an entry is looked up among the rules, and right arrays are refused.
#
# Guess from memory: RFC 8610 (2.1) has labels of array entries for documentation alone, so `[a: tstr, point: tstr]`
#   is an array of two texts, whatever else the schema calls `point`.
# Seen: if the schema has a rule `point`, the array is compared with that rule, and refused: "expected type int, got
#   Text" or, with longer arrays, "expected array with length 8, got 9". With another label, or none, or another name of
#   the rule, the same array is accepted. Nothing warns when the schema is read, so a new rule can break an array
#   elsewhere that only has a label of that name.
# Source: the output below; the RFC on labels in arrays.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > try.py <<'PY'
import cbor2
import pycddl


def verdict(label, rule="point"):
    schema = f"pair = [a: tstr, {label}tstr]\n{rule} = [x: int, y: int]\n"
    try:
        pycddl.Schema(schema).validate_cbor(cbor2.dumps(["one", "two"]))
    except pycddl.ValidationError as error:
        return str(error).splitlines()[0]
    return "accepted"


seen = {label: verdict(label) for label in ("point: ", "other: ", "")}
seen["point: , the rule has another name"] = verdict("point: ", "corner")
for label, found in seen.items():
    print(f"{label!r}: {found}")
assert "expected" in seen.pop("point: ")
assert set(seen.values()) == {"accepted"}
PY
python3 -m venv venv
venv/bin/pip install -q "pycddl==0.6.4" "cbor2==6.3.0" 2>/dev/null
venv/bin/python try.py
