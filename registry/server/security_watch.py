"""What operators hear of certificates and of settings that make a node less secure (S17, S13).

A line a day from 30 days before a certificate expires, and each hour in its last three days: of the
node's own, of each CA, of each peer that is connected, and one of all clients together. A line a day
for each setting that lets others in without TLS. Status reports show all of it.
"""

import time
from collections.abc import Callable, Sequence

import trio

from ..replica.step.events import LinksSecured
from ..wire.status import CertificatePart, CertificateStatus
from . import log
from .credentials import day_of
from .securing import Securing

LOOK_SECONDS = 5.0
HOUR_S = 3_600
DAY_S = 24 * HOUR_S
WARN_S, URGENT_S = 30 * DAY_S, 3 * DAY_S
"""From when on an expiry is said each day, and from when on each hour."""

INSECURE = "there is no TLS, and the config says insecure = true"
ACCEPTS_PLAIN = "connections without TLS are let in as well, since [tls] says accept_plain = true"


class SecurityWatch:
    """Watches the files and the connections of one node.

    Args:
        securing: its demands, its files, and who is connected.
        insecure: whether the config lets it listen beyond loopback without TLS.
        tell: is told how the connections are secured, when that is news.
    """

    def __init__(
        self, securing: Securing, tell: Callable[[LinksSecured], None], *, insecure: bool
    ) -> None:
        self._securing, self._tell, self._insecure = securing, tell, insecure
        self._told = LinksSecured()
        self._reminders = Reminders()

    async def run(self) -> None:
        """Look at intervals, and when a peer has come, until cancelled."""
        admitted = self._securing.admitted
        while True:
            self.look(time.time())
            admitted.peers_came = trio.Event()
            with trio.move_on_after(LOOK_SECONDS):
                await admitted.peers_came.wait()
            if self._securing.credentials is not None:
                self._securing.credentials.look()

    def look(self, now_s: float) -> None:
        """Say and tell what there is to say now; `now_s` is in seconds since 1970."""
        credentials = self._securing.credentials
        secured = LinksSecured(
            int(credentials.expires_s * 1000) if credentials is not None else None,
            "; ".join(self._faults()),
            self._certificates(),
        )
        if secured != self._told:
            self._told = secured
            self._tell(secured)
        self._reminders.say(self._settings(), secured.certificates, now_s)

    def _faults(self) -> list[str]:
        """What is wrong, or should not stay so."""
        credentials, plain = self._securing.credentials, self._plain()
        spoilt = credentials.fault if credentials is not None else ""
        spoilt = spoilt and f"the new files of TLS are not used: {spoilt}"
        found = [spoilt, self._securing.own_fault]
        settings = [each + (plain if each is ACCEPTS_PLAIN else "") for each in self._settings()]
        return [each for each in (*found, *settings) if each]

    def _settings(self) -> list[str]:
        if self._securing.credentials is None:
            return [INSECURE] if self._insecure else []
        return [ACCEPTS_PLAIN] if self._securing.accepts_plain else []

    def _plain(self) -> str:
        """Who is connected without TLS, in words."""
        peers, clients = self._securing.admitted.without_tls()
        said = [f"of {name}" for name in peers] + ([f"of {_counted(clients)}"] if clients else [])
        return f": now {', '.join(said)}" if said else ": now of nobody"

    def _certificates(self) -> tuple[CertificateStatus, ...]:
        credentials = self._securing.credentials
        own = credentials.certificates() if credentials is not None else []
        return (*own, *self._securing.admitted.certificates())


def _counted(clients: int) -> str:
    return "a client" if clients == 1 else f"{clients} clients"


class Reminders:
    """Lines that come again until what they are about is over."""

    def __init__(self) -> None:
        self._said_s: dict[tuple[str, ...], float] = {}

    def say(
        self, settings: Sequence[str], certificates: Sequence[CertificateStatus], now_s: float
    ) -> None:
        """Write the lines for which it is time.

        Args:
            settings: what is said once a day.
            certificates: what may expire.
            now_s: the time, in seconds since 1970.
        """
        lines: _Lines = {(text,): (DAY_S, {}) for text in settings}
        lines |= _expiries(certificates, now_s)
        self._said_s = {key: said_s for key, said_s in self._said_s.items() if key in lines}
        for key, (every_s, facts) in lines.items():
            if now_s - self._said_s.get(key, 0.0) >= every_s:
                self._said_s[key] = now_s
                log.warning(key[0], **facts)


_Lines = dict[tuple[str, ...], tuple[int, dict[str, object]]]


def _expiries(certificates: Sequence[CertificateStatus], now_s: float) -> _Lines:
    """What is to be said of certificates, with how often."""
    lines: _Lines = {}
    clients = 0
    for each in sorted(certificates, key=lambda each: each.expires_ms):
        left_s = each.expires_ms / 1000 - now_s
        if left_s >= WARN_S:
            break
        facts: dict[str, object] = {
            "of": each.whose,
            "on": day_of(each.expires_ms / 1000),
            "days": max(0, int(left_s // DAY_S)),
        }
        key: tuple[str, ...] = (_EVENTS[each.part], each.whose, *each.marks)
        if each.part is CertificatePart.CLIENT:
            clients += 1
            key = key[:1]
        lines.setdefault(key, (DAY_S if left_s > URGENT_S else HOUR_S, facts))
    if clients > 1:
        every_s, facts = lines[_EVENTS[CertificatePart.CLIENT],]
        lines[_EVENTS[CertificatePart.CLIENT],] = every_s, {**facts, "others": clients - 1}
    return lines


_EVENTS = {
    CertificatePart.OWN: "this node's certificate expires",
    CertificatePart.CA: "a CA expires",
    CertificatePart.PEER: "the certificate of a peer expires",
    CertificatePart.CLIENT: "the certificate of a client expires",
}
