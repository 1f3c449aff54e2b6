#!/usr/bin/env bash
# ruamel.yaml 0.19.1: its YAML 1.2 has three rules of YAML 1.1, each of which changes what a settings file means.
#
# Guess from memory: it reads 1.2 by default, so `1_000` and "?x" are texts, and U+0085 is a character like others.
# Seen: `1_000` is the number 1000; in a list in brackets `?x` becomes the mapping {"x": None}; and U+0085 within a
#   quoted text is folded into a blank, as a line break is. Other rules are those of 1.2 (`017` is 17, `0o17` is 15,
#   `yes` and `1:20` are texts). A reader that goes by the letter of 1.2, py-yaml12 0.2.0, gives text in all three cases,
#   so a file that two programs share has two meanings. PyYAML 6.0.3, which is 1.1, sides with ruamel.yaml.
# Source: the output below; YAML 1.2.2, chapters 10.3.2 (core schema), 7.3.3 (plain scalars) and 5.4 (line breaks).
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q ruamel.yaml==0.19.1 py-yaml12==0.2.0 pyyaml==6.0.3 2>/dev/null
"$folder/venv/bin/python" - <<'PY'
import ruamel.yaml
import yaml
import yaml12

DOCUMENTS = {"a number": "1_000\n", "in a list": "[?x]\n", "U+0085": '"x\x85y"\n', "octal": "[017, 0o17, yes]\n"}
READERS = {
    "ruamel.yaml": lambda text: ruamel.yaml.YAML(typ="safe", pure=True).load(text),
    "PyYAML": yaml.safe_load,
    "py-yaml12": yaml12.parse_yaml,
}
seen = {
    name: {reader: read(text) for reader, read in READERS.items()} for name, text in DOCUMENTS.items()
}
for name, values in seen.items():
    print(f"{name:10}", values)
assert seen == {
    "a number": {"ruamel.yaml": 1000, "PyYAML": 1000, "py-yaml12": "1_000"},
    "in a list": {"ruamel.yaml": [{"x": None}], "PyYAML": [{"x": None}], "py-yaml12": ["?x"]},
    "U+0085": {"ruamel.yaml": "x y", "PyYAML": "x y", "py-yaml12": "x\x85y"},
    "octal": {"ruamel.yaml": [17, 15, "yes"], "PyYAML": [15, "0o17", True], "py-yaml12": [17, 15, "yes"]},
}
PY
