"""Run a job at most once, although many machines try: the winner of the claim runs it.

    python examples/claim_once.py reports/2026-01-31

Exit code 0: this run won and did the job; 3: somebody else has it.
"""

import os
import sys

from decreed.client import sync

ENDPOINTS = os.environ.get("DECREED_ENDPOINTS", "127.0.0.1:7400").split(",")


def run_once(job: str) -> bool:
    """Claim `job` and, if the claim is won, do it. Returns whether it was won."""
    worker = f"{os.uname().nodename}, process {os.getpid()}"
    with sync.connect(*ENDPOINTS) as registry:
        claimed = registry.claim(f"jobs/{job}", worker, note="claim_once.py")
    if not claimed.won:
        print(f"{job} belongs to {claimed.decree.text}")
        return False
    print(f"{job} is ours: running it")
    return True


if __name__ == "__main__":
    sys.exit(0 if run_once(sys.argv[1]) else 3)
