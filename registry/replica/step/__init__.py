"""One step of a node: the events that it takes, and the effects that it returns.

The room owns the state that all parts of a node share during a step: the loaded instances, the
effects collected so far, the pending requests, and the tokens of questions that are not answered
yet. All other rooms build on it. It knows no protocol: it decides neither what is proposed nor what
is answered.

Invariants kept here: whatever says that this node holds something leaves only after the record of
it is durable (R13, R14); a token is used in one incarnation only (design 6).
"""
