"""Mistakes around what begins under a policy, whose it is, and when it ends."""

from .governed import FEW, MANY, governed

_ADMITTED = "replica/policy/test_admission.py"


_BEGINS = (
    governed(
        "a read goes on at a node that is cut off, whatever its grant says",
        _ADMITTED,
        "replica.admission",
        "need.begins or verdict.when_cut_off is CutOff.REFUSE or ",
        "need.begins or ",
        MANY,
    ),
    governed(
        "what begins asks for no confirmation",
        None,
        "replica.admission",
        "if not (need.begins or verdict.when_cut_off",
        "if not (verdict.when_cut_off",
        FEW,
    ),
    governed(
        "a node that joins obeys none until it learns one",
        _ADMITTED,
        "replica.admission",
        " or self._confirming.is_new):",
        "):",
    ),
    governed(
        "a joiner that knows of no policy tells what a claim would find",
        _ADMITTED,
        "replica.admission",
        "if need is None or not need.shows or self._confirming.is_new:",
        "if need is None or not need.shows:",
    ),
)

_WHOSE = (
    governed(
        "a claim is opened without its right",
        _ADMITTED,
        "replica.client_requests",
        "        refused = self.admission.refusal(step, event.identity, request)\n",
        "        if isinstance(request, ClaimRequest):\n"
        "            return False\n"
        "        refused = self.admission.refusal(step, event.identity, request)\n",
        FEW,
    ),
    governed(
        "a claim that is passed on is that of the node",
        _ADMITTED,
        "replica.requests.claims",
        "identity, gateway = pending.identity.recorded,",
        'identity, gateway = f"node/{self._node.name}",',
        FEW,
    ),
    governed(
        "the identity of a claim that is passed on is dropped",
        _ADMITTED,
        "replica.requests.claims",
        "identity, gateway = pending.identity.recorded,",
        'identity, gateway = "",',
        storms=FEW,
    ),
    governed(
        "nobody's identity is in a decree",
        None,
        "replica.consensus.coordinator",
        'who = first.pending.identity.recorded if first else ""',
        'who = ""',
        FEW,
    ),
    governed(
        "a claim that a node passes on is not judged again",
        _ADMITTED,
        "replica.client_requests",
        "        if refused is not None:\n            failed",
        "        if False:\n            failed",
        storms=MANY,
    ),
    governed(
        "what a newer policy has admitted is judged by an older one",
        _ADMITTED,
        "replica.admission",
        "if message.policy > self._policies.obeyed:",
        "if False:",
    ),
    governed(
        "a denial is not told to the audit log",
        _ADMITTED,
        "replica.client_requests",
        "            if refused.error is Denied:",
        "            if False:",
    ),
    governed(
        "what an older policy has admitted elsewhere is opened by a newer one",
        _ADMITTED,
        "replica.admission",
        "if refused is None and message.policy < self._policies.obeyed:",
        "if False:",
    ),
    governed(
        "what was passed on under an older policy goes on after a newer one",
        _ADMITTED,
        "replica.client_requests",
        "renewed = self._obeyed != self._parts.policies.obeyed",
        "renewed = False",
    ),
)

_ENDED = (
    governed(
        "what waits survives its right",
        _ADMITTED,
        "replica.replica",
        "            if self.parts.policies.changed:",
        "            if False:",
    ),
    governed(
        "a right is asked for at the opening alone",
        _ADMITTED,
        "replica.replica",
        "if step.now_ms >= self.parts.confirming.lapses_ms:",
        "if False:",
        storms=MANY,
    ),
    governed(
        "what waits is never judged again",
        _ADMITTED,
        "replica.client_requests",
        "            refused = self.admission.ended(step, pending, renewed=renewed)\n",
        "            refused = None\n",
        MANY,
    ),
    governed(
        "what waits survives its token",
        _ADMITTED,
        "replica.replica",
        "            self.parts.policies.passes(moment.wall_ms)\n",
        "            pass\n",
    ),
)

BUGS = _BEGINS + _WHOSE + _ENDED
