"""Mistakes around what may be read: in lists, in watches, and in other answers."""

from .bug import Bug, Change
from .governed import MANY, governed

_ADMITTED = "replica/policy/test_admission.py"
_READ = "replica/policy/test_readers.py"
_TOLD = "replica/policy/test_what_leaves.py"
_IDS = "replica/policy/test_ids_and_secrets.py"
_SAME = "replica/policy/test_noninterference.py"
_WINDOWS = "replica/requests/test_windows.py"


BUGS = (
    governed(
        "a list is not filtered",
        _SAME,
        "replica.requests.lists",
        "question_of(request, self._read_rights.within(step, pending, request.prefix))",
        "question_of(request, None)",
    ),
    governed(
        "a list is not filtered at a peer's scan",
        _READ,
        "replica.requests.scan_service",
        "take, give_up, give_up, scan.within)",
        "take, give_up, give_up)",
    ),
    governed(
        "a page under way has what the policy before has shown",
        _READ,
        "replica.requests.lists",
        "if self._read_rights.within(step, pending, request.prefix) != read.question.within:",
        "if False:",
    ),
    governed(
        "a list ends with its first window",
        _WINDOWS,
        "replica.requests.list_read",
        "goes_on = len(page) < len(keys) or self.ends_early",
        "goes_on = len(page) < len(keys)",
    ),
    governed(
        "a list ends with a window that is empty",
        _WINDOWS,
        "replica.requests.lists",
        "if read.ends_early and not decrees:",
        "if False:",
    ),
    governed(
        "the strictest grant below a list does not count",
        _READ,
        "policy.rights",
        "for each in (*covering, *below))",
        "for each in (covering or below))",
    ),
    governed(
        "a snapshot leaves out what may not be read",
        _TOLD,
        "policy.needs",
        "    if request.whole:\n",
        "    if False:\n",
    ),
    governed(
        "a watch of what was learned before is not filtered",
        _SAME,
        "replica.feed.watches",
        "return matches(self.request.prefix, key) and is_within(self.within, key)",
        "return matches(self.request.prefix, key)",
    ),
    Bug(
        "a watch is filtered when it begins, and not when it tells",
        (
            Change(
                "registry.replica.feed.watches",
                "        return within is None or is_within(within, key)",
                "        return True",
            ),
            Change(
                "registry.replica.client_requests",
                "        self._parts.watches.on_policy(step)\n",
                "",
            ),
        ),
        held_by=_READ,
    ),
    governed(
        "what a policy of the step shows a watch is missed",
        _READ,
        "replica.feed.watches",
        "        if self._lacks(step, watch, done):",
        "        if False:",
    ),
    governed(
        "records are loaded for what is denied",
        _READ,
        "replica.client_requests",
        "        if self.admission is not None and self.admission.judges:\n            requests",
        "        if False:\n            requests",
    ),
    governed(
        "a lost claim is told by the policy of its opening",
        _TOLD,
        "replica.client_requests",
        "                pending.hides = self.admission.hides(step, *whose, pending.request)\n",
        "                assert whose\n",
    ),
    governed(
        "a claim id that is used again is told to strangers",
        _IDS,
        "replica.step.hidden_answers",
        "    if is_own and (decree.identity or outcome(claim, decree) is Outcome.WON):",
        "    if True:",
    ),
    governed(
        "callers without a name are taken for each other",
        _IDS,
        "replica.step.hidden_answers",
        "    if is_own and (decree.identity or outcome(claim, decree) is Outcome.WON):",
        "    if is_own:",
    ),
    governed(
        "a wrong secret is told apart from a term that nobody knows",
        _IDS,
        "replica.locks.renewals",
        "message = _not_the_holder(held) if releases else _not_this_claim(held)",
        "message = _not_this_claim(held)",
    ),
    governed(
        "a position tells the disk",
        _TOLD,
        "replica.feed.watch_positions",
        '    return _hashed(identity.disk_id, identity.formation or b"")',
        "    return identity.disk_id",
    ),
    governed(
        "decrees of members take the right to read alone",
        _TOLD,
        "policy.needs",
        "FOR_ADMINISTRATORS: Final = (POLICY, MEMBERS)",
        "FOR_ADMINISTRATORS: Final = (POLICY,)",
    ),
    governed(
        "a lost claim is told what it may not read",
        _ADMITTED,
        "replica.step.pending",
        "hidden(request, answer, identity) if hides else answer",
        "answer",
        storms=MANY,
    ),
    governed(
        "what waited for the confirmation is told what its caller may not read",
        _TOLD,
        "replica.client_requests",
        "pending.hides = admission is not None and admission.hides(step, origin, identity, request)",
        "assert admission is not None and identity",
    ),
    governed(
        "an administrator lists and watches no policies",
        _READ,
        "replica.step.read_rights",
        "if rights is None or prefix in FOR_ADMINISTRATORS:",
        "if rights is None:",
    ),
)
