"""Mistakes around policies: what is granted, which right a request takes, and which policy counts."""

from .bug import Bug
from .governed import FEW, MANY, governed

_ADMITTED = "replica/policy/test_admission.py"
_BY_MARKS = "replica/policy/test_refused_certificates.py"
_FORESEEN = "replica/policy/test_foreseen.py"
_RIGHTS = "policy/test_rights.py"
_NEEDS = "policy/test_needs.py"
_OBEYED = "replica/policy/test_policies.py"
_APPLIED = "replica/policy/test_applying.py"
_UNCONFIRMED = "replica/policy/test_unconfirmed.py"
_IDS = "replica/policy/test_ids_and_secrets.py"


def _no_right(name: str, row: str, old: str, storms: int, held_by: str | None = None) -> Bug:
    """A kind of request whose row says that it takes no right."""
    rows = (f"    {row}: {old},", f"    {row}: lambda _: NOTHING,")
    return governed(name, held_by, "policy.needs", *rows, storms)


_GRANTED = (
    governed(
        "a request behind a policy that refuses its certificate is judged by its name",
        _BY_MARKS,
        "replica.client_requests",
        "        return certificates or not all(",
        "        return not all(",
    ),
    governed(
        "a client that has gone leaves behind what waits for the next step",
        _BY_MARKS,
        "replica.client_requests",
        "            step.again(ClientGone(connection))\n",
        "            pass\n",
    ),
    governed(
        "what was found before a step holds in it under another policy too",
        _FORESEEN,
        "replica.admission",
        "            and judged.rights is self._policies.rights\n",
        "",
    ),
    governed(
        "what was found before a step holds in it for another identity too",
        _FORESEEN,
        "replica.admission",
        "            and judged.identity is identity\n",
        "",
    ),
    governed(
        "what was found of a token before a step holds in it",
        _FORESEEN,
        "replica.admission",
        ' and identity.through is None and identity.kind != "token":',
        ":",
    ),
    governed(
        "a prefix of a grant is compared as text",
        _RIGHTS,
        "policy.rights",
        'found = self._allowed.get("/".join(segments[:depth]))',
        'found = self._allowed.get("/".join(segments[:depth])) or next(\n'
        "    (self._allowed[p] for p in self.granted if p and path.startswith(p)), None\n"
        ")",
        storms=FEW,
    ),
    governed(
        "the empty prefix of a grant covers names with a dollar",
        _RIGHTS,
        "policy.rights",
        "depth <= len(segments) and (depth or not path.startswith(RESERVED))",
        "depth <= len(segments)",
        storms=FEW,
    ),
    governed(
        "a list below a dollar is covered by the empty prefix",
        _RIGHTS,
        "policy.rights",
        "    return prefixes(Key(name)) if name else [CLUSTER]",
        "    return [CLUSTER, *prefixes(Key(name))] if name else [CLUSTER]",
    ),
    governed(
        "a token is good after it has expired",
        _RIGHTS,
        "policy.rights",
        "if token is None or not is_alive(token, now_ms):",
        "if token is None:",
        storms=MANY,
    ),
    governed(
        "a gateway lends what it may do itself",
        _RIGHTS,
        "policy.rights",
        "            self.may(named, right, name, now_ms),\n",
        "",
    ),
    governed(
        "a read of policies takes the right to read alone",
        _NEEDS,
        "policy.needs",
        "return _LOOKS if path in FOR_ADMINISTRATORS else Need(Right.READ, path)",
        "return Need(Right.READ, path)",
    ),
    governed(
        "who is refused keeps his rights",
        _RIGHTS,
        "policy.rights",
        "        if self._refused and (identity.recorded or identity.kind) in self._refused:",
        "        if False:",
        MANY,
    ),
    governed(
        "a give-up takes no right",
        _IDS,
        "policy.needs",
        "    GiveUpRequest: _gives_up,\n",
        "    GiveUpRequest: lambda _: NOTHING,\n",
    ),
)

_NO_RIGHT = (
    _no_right("a list takes no right", "ListRequest", "_lists", FEW, _ADMITTED),
    _no_right(
        "a watch takes no right",
        "WatchRequest",
        "lambda request: _reading_below(request.prefix)",
        FEW,
        _ADMITTED,
    ),
    _no_right(
        "the last slot takes no right",
        "LatestRequest",
        "lambda request: _reading(request.series)",
        FEW,
    ),
    _no_right(
        "who holds a lock takes no right",
        "HolderRequest",
        "lambda request: Need(Right.READ, request.lock)",
        FEW,
    ),
    _no_right(
        "a status takes no right", "StatusRequest", 'lambda _: Need(Right.READ, "$status")', FEW
    ),
    _no_right(
        "a keep-alive takes no right",
        "KeepAliveRequest",
        "lambda request: Need(Right.LOCK, request.lease_id.lock)",
        MANY,
    ),
    _no_right("a policy takes no right", "PolicyRequest", "lambda _: _ADMIN", FEW),
    _no_right("a report of members takes no right", "MembersRequest", "lambda _: _LOOKS", FEW),
    governed(
        "a break takes no right",
        None,
        "policy.needs",
        "    if request.ending.how is How.RELEASED:",
        "    if True:",
        MANY,
    ),
)

_NEWEST = (
    governed(
        "a policy is told to others before it is durable",
        _OBEYED,
        "replica.policy.policies",
        "return self.known if self._node.settled_feed_end >= self._end else self._durable",
        "return self.known",
    ),
    governed(
        "the old policy is kept after a newer one is learned",
        None,
        "replica.policy.policies",
        "if number is None or number < self.known or number == self.obeyed:",
        "if number is None or number < self.known or self.obeyed:",
        FEW,
    ),
    governed(
        "an older policy is obeyed that is learned late",
        _OBEYED,
        "replica.policy.policies",
        "if number is None or number < self.known or number == self.obeyed:",
        "if number is None:",
        MANY,
    ),
    governed(
        "anybody applies the first policy",
        _UNCONFIRMED,
        "replica.requests.applying",
        "if not self._policies.obeyed and pending.identity == ANONYMOUS:",
        "if False:",
    ),
    governed(
        "a policy is applied where nobody can show who it is",
        _UNCONFIRMED,
        "replica.requests.applying",
        "        if not self._secured:\n",
        "        if False:\n",
    ),
    governed(
        "a policy is decided on top of one that its author did not see",
        _APPLIED,
        "replica.requests.applying",
        "elif request.base != self._policies.known:",
        "elif False:",
    ),
    governed(
        "anybody applies the policy after a first one that cannot be read",
        _UNCONFIRMED,
        "replica.requests.applying",
        "if not self._policies.obeyed and pending.identity == ANONYMOUS:",
        "if not request.base and pending.identity == ANONYMOUS:",
    ),
)

BUGS = _GRANTED + _NO_RIGHT + _NEWEST
