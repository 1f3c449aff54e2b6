"""A gate before a node: a proxy that passes everything on, until an answer of one kind comes."""

import socket
import threading
from typing import Any

from decreed.registry.config import MIB
from decreed.registry.wire.codec import decode_batch
from decreed.registry.wire.frames import FrameCutter
from decreed.registry.wire.handshake import ClientWelcome, Refusal
from decreed.registry.wire.requests import Answer

from .ports import hold, let_go
from .processes import PATIENCE_S

ANSWERS: Any = Answer | ClientWelcome | Refusal


class Gate:
    """The gate; clients alone may go through it.

    Args:
        behind: the address of the node.
        shut_at: the kind of answer at which it shuts.
        passed: how many answers of that kind pass before.

    Attributes:
        address: where clients connect to.
        shut: set when it is shut: such an answer is here, and passes when the gate is opened.
    """

    def __init__(self, behind: str, shut_at: type, passed: int = 0) -> None:
        host, _, port = behind.rpartition(":")
        self._behind = (host, int(port))
        self._shut_at, self._left = shut_at, passed
        [self._port] = hold(1)
        self.address = f"127.0.0.1:{self._port}"
        self.shut, self._opened = threading.Event(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", self._port), reuse_port=True)
        threading.Thread(target=self._accept, daemon=True).start()

    def open(self) -> None:
        """Let everything pass from now on."""
        self._opened.set()

    def close(self) -> None:
        """Take no more connections."""
        self.open()
        self._listener.close()
        let_go([self._port])

    def _accept(self) -> None:
        while True:
            try:
                outside, _ = self._listener.accept()
                inside = socket.create_connection(self._behind, PATIENCE_S)
            except OSError:
                return
            for pass_on in (self._requests, self._answers):
                threading.Thread(target=pass_on, args=(outside, inside), daemon=True).start()

    def _requests(self, outside: socket.socket, inside: socket.socket) -> None:
        try:
            while data := outside.recv(MIB):
                inside.sendall(data)
            inside.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _answers(self, outside: socket.socket, inside: socket.socket) -> None:
        cutter = FrameCutter(MIB)
        try:
            while data := inside.recv(MIB):
                for payload in cutter.feed(data):
                    for answer in decode_batch(payload, ANSWERS):
                        self._look_at(answer)
                outside.sendall(data)
        except OSError:
            pass
        finally:
            inside.close()
            outside.close()

    def _look_at(self, answer: object) -> None:
        if isinstance(answer, self._shut_at) and not self._opened.is_set():
            self._left -= 1
            if self._left < 0:
                self.shut.set()
                self._opened.wait(PATIENCE_S)
