"""A user at a terminal, at which a program runs."""

import os
import pty
import select
import signal
import time

from .processes import PATIENCE_S


class Typist:
    """A user at a terminal, at which a program runs.

    Args:
        words: the program and its arguments.
        endpoints: the addresses of the cluster.
    """

    def __init__(self, words: list[str], endpoints: str) -> None:
        environment = {
            **os.environ, "DECREED_ENDPOINTS": endpoints, "PS1": "ready> ", "TERM": "dumb",
        }  # fmt: skip
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(words[0], words, environment)
        self.seen = ""

    def type(self, text: str) -> None:
        """Type some keys."""
        os.write(self._terminal, text.encode())

    def see(self, text: str) -> str:
        """Wait until the terminal shows `text`; returns what it showed up to there."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0 and self._read(left), f"no {text!r} in {self.seen!r}"
        before, found, self.seen = self.seen.partition(text)
        return before + found

    def see_either(self, *texts: str) -> str:
        """Wait until the terminal shows one of `texts`; returns the first."""
        deadline = time.monotonic() + PATIENCE_S
        while not any(text in self.seen for text in texts):
            left = deadline - time.monotonic()
            assert left > 0 and self._read(left), f"none of {texts} in {self.seen!r}"
        first = min((text for text in texts if text in self.seen), key=self.seen.index)
        self.see(first)
        return first

    def end(self) -> int:
        """Wait until the program ends, and return its exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(max(0.0, deadline - time.monotonic())):
            pass
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Hang up; processes that are left are killed."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self._terminal, 4096)
        except OSError:
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)
