"""The policy that this node obeys: learned like any decree, in force while it is confirmed.

`policies` learns ``$policy@N`` and knows which policy is obeyed; `confirming` asks the voters whether
one of them knows a newer one. The pure rules are in ``registry/policy/``. A call for the rooms behind
this one goes through a listener.
"""
