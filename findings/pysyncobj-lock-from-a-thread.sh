#!/usr/bin/env bash
# pysyncobj 0.3.17: a `ReplLockManager` that was made in a thread loses its locks once that thread has ended.
#
# Guess from memory: its keep-alive goes on until `destroy()` is called, whichever thread called the constructor.
# Seen: the keep-alive stops when the thread that made the manager ends, without a word. A manager that a start-up
#   thread or a pool's worker made takes locks as usual, and each of them lapses after `autoUnlockTime`, while its holder
#   works on. The same manager made in the main thread keeps them. `SyncObj` itself stops ticking for the same reason.
# Source: the output below; pysyncobj's `batteries.py`, whose keep-alive loop ends with the thread it calls main.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pysyncobj==0.3.17 2>/dev/null
cd "$folder"
venv/bin/python - <<'PY'
import socket
import threading
import time

from pysyncobj import SyncObj
from pysyncobj.batteries import ReplLockManager

UNLOCK_SECONDS = 1.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make(box):
    box.append(ReplLockManager(autoUnlockTime=UNLOCK_SECONDS, selfID="worker"))


def held_for(in_a_thread):
    """Whether the lock was got, and whether it is still held four times the unlock time later."""
    box = []
    maker = threading.Thread(target=make, args=(box,))
    if in_a_thread:
        maker.start()
        maker.join()
    else:
        make(box)
    node = SyncObj(f"127.0.0.1:{free_port()}", [], consumers=box)
    while not node.isReady():
        time.sleep(0.05)
    got = box[0].tryAcquire("job", sync=True, timeout=30)
    time.sleep(4 * UNLOCK_SECONDS)
    still = box[0].isAcquired("job")
    box[0].destroy()
    node.destroy()
    return got, still


main, thread = held_for(False), held_for(True)
print("made in the main thread: got %s, held 4 s later %s" % main)
print("made in a thread that ended: got %s, held 4 s later %s" % thread)
assert main == (True, True) and thread == (True, False)
PY
