#!/usr/bin/env bash
# rocksdict 0.3.29: a database that is opened again takes neither the Bloom filter nor the buffer size that it is given.
#
# Guess from memory: `Rdict(path, options)` uses `options` each time, as RocksDB itself does.
# Seen: it does so only where the database is new. A later `Rdict(path, options)` reads the newest OPTIONS file of the
#   folder for each column family that exists, the default one too, and passes those. A filter policy does not survive
#   that way: tables written from then on have no filter, and a lookup of a missing key searches every one of them.
#   Nothing is logged or raised. The output below shows one filter block, and the first buffer size, for three opens.
# Way out: name the family, `Rdict(path, options, column_families={"default": options})`, which the last part shows.
# Source: rocksdict's `Rdict.__init__` (the column families default to the ones of the stored options).
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q rocksdict==0.3.29 2>/dev/null
cd "$folder"
venv/bin/python - <<'PY'
import re
from rocksdict import BlockBasedOptions, Options, Rdict


def options(buffer_bytes):
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)
    made = Options(raw_mode=True)
    made.set_block_based_table_factory(table)
    made.set_write_buffer_size(buffer_bytes)
    return made


def filters_after_writing(folder, number, buffer_bytes, **named):
    database = Rdict(folder, options(buffer_bytes), **named)
    for key in range(20_000):
        database[b"%d-%08d" % (number, key)] = b""
    database.flush()
    text = database.property_value("rocksdb.aggregated-table-properties")
    database.close()
    return int(re.search(r"filter block size=(\d+)", text)[1])


def buffer_bytes_on_disk(folder):
    from pathlib import Path

    newest = max(Path(folder).glob("OPTIONS-*"), key=lambda path: path.name)
    return int(re.findall(r"^\s*write_buffer_size=(\d+)$", newest.read_text(), re.M)[-1])


plain = [filters_after_writing("plain", n, size) for n, size in enumerate((1 << 20, 1 << 22, 1 << 22))]
kept = buffer_bytes_on_disk("plain")
named = [
    filters_after_writing("named", n, 1 << 20, column_families={"default": options(1 << 20)})
    for n in range(3)
]
print("bytes of filters after each open, options alone:      ", plain)
print("write_buffer_size: 1048576 given first, 4194304 since; in force:", kept)
print("bytes of filters after each open, family named as well:", named)
assert plain[0] > 0 and plain[0] == plain[1] == plain[2], "later tables have filters now"
assert kept == 1 << 20, "the newer buffer size is taken now"
assert named[0] < named[1] < named[2], "naming the family no longer helps"
PY
