"""Mistakes around the confirmation of a policy: what it counts, and when it is over."""

from .governed import FEW, MANY, VERY_MANY, governed

_MODEL = "model/test_policy.py"
_OBEYED = "replica/policy/test_policies.py"
_UNCONFIRMED = "replica/policy/test_unconfirmed.py"


BUGS = (
    governed(
        "a confirmation is counted from the answer",
        _MODEL,
        "policy.confirming",
        "        sent_ms = dict(self.asked).get(said.id)\n",
        "        sent_ms = max(dict(self.asked).values(), default=None)\n",
        storms=VERY_MANY,
    ),
    governed(
        "a node confirms its policy by itself",
        _MODEL,
        "policy.confirming",
        "        if not others:",
        "        if own is not None:",
        storms=FEW,
    ),
    governed(
        "a policy is in force as soon as a quorum knows it",
        _MODEL,
        "policy.confirming",
        "        return from_ms + lapse_ms(max(max_age_ms, self.longest_ms))",
        "        return from_ms",
        storms=MANY,
    ),
    governed(
        "what may be a newer policy is not waited for",
        _OBEYED,
        "replica.policy.policies",
        "return self._holds(self._next)",
        "return False",
    ),
    governed(
        "a confirmation outlives its epoch",
        _OBEYED,
        "replica.policy.confirming",
        "if self._confirmation.epoch is not epoch and self._confirmation.epoch != epoch:",
        "if False:",
        storms=MANY,
    ),
    governed(
        "a voter's own age is not waited for",
        _UNCONFIRMED,
        "policy.confirming",
        "lapse_ms(max(max_age_ms, self.longest_ms))",
        "lapse_ms(max_age_ms)",
    ),
    governed(
        "an answer is good for longer than its voter says",
        _UNCONFIRMED,
        "policy.confirming",
        "validity_ms(min(max_age_ms, self.shortest_ms))",
        "validity_ms(max_age_ms)",
    ),
    governed(
        "a start is confirmed",
        None,
        "policy.confirming",
        "        if len(sent) < others:",
        '        if not sent:\n            return float("inf")\n        if len(sent) < others:',
        FEW,
    ),
    governed(
        "without a policy nothing need be confirmed",
        None,
        "replica.policy.confirming",
        "return now_ms < self._until_ms() and",
        "return not self._policies.known or now_ms < self._until_ms() and",
        FEW,
    ),
    governed(
        "one late answer makes those of others late",
        None,
        "policy.confirming",
        "        return sent[others - 1] + validity_ms(",
        "        return sent[0] + validity_ms(",
        MANY,
    ),
    governed(
        "what a sole voter began goes on forever when others get votes",
        _OBEYED,
        "replica.policy.confirming",
        "            self.lapses_ms = min(self.lapses_ms, lapses_ms)\n",
        "            del lapses_ms\n",
    ),
    governed(
        "a confirmation that is made longer has no end",
        _UNCONFIRMED,
        "replica.policy.confirming",
        "self.lapses_ms = until_ms if until_ms > step.now_ms else math.inf",
        "self.lapses_ms = math.inf",
    ),
)
