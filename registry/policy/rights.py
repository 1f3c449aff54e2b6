"""Whether an identity may do something: the one place where a policy becomes yes or no.

Invariants kept here:

* S12: a prefix covers itself, what is below it, and the slots of both, in whole segments. The empty one
  covers no name that begins with ``$``;
* nothing is allowed but what is granted (S13), and who is refused or expired has no right at all;
* an answer depends on the policy, the identity, the right, the name and the time alone, so it tells
  nothing of what is stored (S19);
* what is kept at hand (the grants of an identity) follows from the policy alone, and ends with it: each
  policy has a `Rights` of its own. Who is refused, and whether a token has expired, is asked each time.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from ..identity import Identity
from ..keys import RESERVED, matches, prefixes, sort_key
from ..types import Key
from .document import ANYONE, CutOff, Policy, Right
from .tokens import is_alive

CLUSTER = ""
"""What `Right.ADMIN` is granted on."""
MAX_CACHED = 4_096
"""For how many identities the grants are kept at hand."""


class Allowed(Struct, frozen=True):
    """It may be done.

    Args:
        when_cut_off: whether a read goes on while the policy is not confirmed (S15). If several grants
            allow it, the strictest counts.
    """

    when_cut_off: CutOff = CutOff.SERVE


class Denial(Struct, frozen=True):
    """It may not be done.

    Args:
        right: the right that is missing.
        prefix: on what: the name that was asked about, without its slot.
    """

    right: Right
    prefix: str


class Readable(Struct, frozen=True):
    """Something below a prefix may be read.

    Args:
        within: what of it: None for all of it; otherwise prefixes below it, in the order of keys, none
            of them below another.
        when_cut_off: as in `Allowed`. A list goes through all of it, so the strictest grant counts of
            those above the prefix and those below it.
    """

    within: tuple[str, ...] | None = None
    when_cut_off: CutOff = CutOff.SERVE


Verdict = Allowed | Denial
OPEN: Final = Allowed()
"""What everybody is told while there is no policy (S13)."""
_REFUSING: Final = Allowed(CutOff.REFUSE)
ALL_OF_IT: Final = Readable()
"""What everybody may read below a prefix while there is no policy."""


class Reach:
    """Where an identity has one right, made for questions about names that are asked once each.

    A claim brings a name that was never asked about, so answers are not kept. What is kept is how deep
    the granted prefixes are: a name is cut there, and looked up. Of several prefixes that cover it the
    deepest is found first, and has the strictest of their answers already.

    Args:
        granted: the prefixes.

    Attributes:
        granted: as given.
    """

    def __init__(self, granted: Mapping[str, CutOff]) -> None:
        self.granted = granted
        self._allowed = {prefix: _strictest(prefix, granted) for prefix in granted}
        depths = {prefix.count("/") + 1 if prefix else 0 for prefix in granted}
        self._depths = tuple(sorted(depths, reverse=True))

    def of(self, name: str) -> Allowed | None:
        """What is allowed on a name; None: nothing."""
        path = name.partition("@")[0] if "@" in name else name
        segments = path.split("/", self._depths[0])
        for depth in self._depths:
            if depth <= len(segments) and (depth or not path.startswith(RESERVED)):
                found = self._allowed.get("/".join(segments[:depth]))
                if found is not None:
                    return found
        return None


_Grants = dict[Right, Reach]


class Rights:
    """What one policy allows.

    Args:
        policy: the policy.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._refused = frozenset(policy.refused)
        self._grants: dict[Identity, _Grants] = {}
        self._readable: dict[tuple[Identity, str], Readable | Denial] = {}

    def may(self, identity: Identity, right: Right, name: str, now_ms: int) -> Verdict:
        """Whether an identity may do something.

        Args:
            identity: who asks.
            right: what it takes.
            name: a key, a lock, the path of a series, or `CLUSTER` for `Right.ADMIN`.
            now_ms: milliseconds since 1970.
        """
        if identity.through is not None:
            return self.may_for(identity.through, identity.itself, right, name, now_ms)
        kind = identity.kind
        if (self._refused or kind == "token") and self._is_out(identity, now_ms):
            return denial(right, name)
        if kind == "node":  # S24: the way back in, and nothing else
            return OPEN if right is Right.ADMIN else denial(right, name)
        reach = (self._grants.get(identity) or self._of(identity)).get(right)
        return (reach.of(name) if reach is not None else None) or denial(right, name)

    def may_for(
        self, gateway: Identity, named: Identity, right: Right, name: str, now_ms: int
    ) -> Verdict:
        """Whether a gateway may do something for the identity that it names (S08).

        The gateway needs `Right.ACT_FOR`, and both need the right itself, so a gateway can lend nobody
        what it may do. Nobody speaks for a node.
        """
        if named.kind == "node":
            return denial(Right.ACT_FOR, name)
        verdicts = (
            self.may(gateway, Right.ACT_FOR, name, now_ms),
            self.may(gateway, right, name, now_ms),
            self.may(named, right, name, now_ms),
        )
        denials = [verdict for verdict in verdicts if isinstance(verdict, Denial)]
        if denials:
            return denials[0]
        return _REFUSING if _REFUSING in verdicts else OPEN

    def readable(self, identity: Identity, prefix: str, now_ms: int) -> Readable | Denial:
        """What an identity may read below a prefix; nothing at all is a denial.

        Args:
            identity: who asks.
            prefix: in whole segments; the empty one is every key that can be claimed.
            now_ms: milliseconds since 1970.
        """
        if self._is_out(identity, now_ms) or identity.kind == "node":
            return denial(Right.READ, prefix)
        place = (identity, prefix)
        found = self._readable.get(place)
        if found is None:
            if len(self._readable) >= MAX_CACHED:
                self._readable.clear()
            found = self._readable[place] = self._below(identity, prefix)
        return found

    def _below(self, identity: Identity, prefix: str) -> Readable | Denial:
        reach = self._of(identity).get(Right.READ)
        granted: Mapping[str, CutOff] = reach.granted if reach is not None else {}
        covering = [each for each in _prefixes(prefix) if each in granted]
        below = [each for each in granted if each != prefix and matches(prefix, Key(each))]
        if not covering and not below:
            return denial(Right.READ, prefix)
        refuses = any(granted[each] is CutOff.REFUSE for each in (*covering, *below))
        highest = [each for each in below if not any(map(granted.__contains__, _above(each)))]
        within = None if covering else tuple(sorted(highest, key=sort_key))
        return Readable(within, CutOff.REFUSE if refuses else CutOff.SERVE)

    def _is_out(self, identity: Identity, now_ms: int) -> bool:
        if identity.through is not None:
            both = (identity.through, identity.itself)
            return any(each.kind == "node" or self._is_out(each, now_ms) for each in both)
        if self._refused and (identity.recorded or identity.kind) in self._refused:
            return True
        if identity.kind != "token":
            return False
        token = self._policy.tokens.get(identity.name)
        if token is None or not is_alive(token, now_ms):
            return True
        # another one of the same name was made since
        return bool(identity.digest) and identity.digest != token.sha256

    def _of(self, identity: Identity) -> _Grants:
        """The grants of an identity, by right and prefix."""
        found = self._grants.get(identity)
        if found is None:
            if len(self._grants) >= MAX_CACHED:
                self._grants.clear()
            found = self._grants[identity] = self._gather(identity)
        return found

    def _gather(self, identity: Identity) -> _Grants:
        if identity.through is not None:
            gateway, named = self._of(identity.through), self._of(identity.itself)
            acts = gateway.get(Right.ACT_FOR)
            if acts is None:
                return {}
            return {
                right: Reach(
                    _granted_by_all(acts.granted, gateway[right].granted, named[right].granted)
                )
                for right in gateway
                if right in named
            }
        gathered: dict[Right, dict[str, CutOff]] = {}
        for grant in self._policy.grants_of(str(identity), ANYONE):
            for right in grant.may:
                under = gathered.setdefault(right, {})
                if under.get(grant.on) is not CutOff.REFUSE:
                    under[grant.on] = grant.when_cut_off
        return {right: Reach(granted) for right, granted in gathered.items()}


def _granted_by_all(*granted: Mapping[str, CutOff]) -> dict[str, CutOff]:
    """What is granted by all: of two prefixes that overlap, one is within the other."""
    common: dict[str, CutOff] = {}
    for prefix in {prefix for each in granted for prefix in each}:
        above = _prefixes(prefix)
        covering = [[each[wide] for wide in above if wide in each] for each in granted]
        if all(covering):
            refuses = any(CutOff.REFUSE in each for each in covering)
            common[prefix] = CutOff.REFUSE if refuses else CutOff.SERVE
    return common


def _prefixes(name: str) -> list[str]:
    """All prefixes that cover a name; a prefix covers itself."""
    return prefixes(Key(name)) if name else [CLUSTER]


def _strictest(prefix: str, granted: Mapping[str, CutOff]) -> Allowed:
    covering = (granted.get(other) for other in _prefixes(prefix))
    return _REFUSING if CutOff.REFUSE in covering else OPEN


def _above(prefix: str) -> list[str]:
    """All prefixes that cover this one, except itself."""
    return [each for each in _prefixes(prefix) if each != prefix]


def denial(right: Right, name: str) -> Denial:
    """What is answered to somebody who lacks a right on a name; a slot is its series."""
    return Denial(right, name.partition("@")[0])
