"""Policies for people: read from files, shown, compared, and followed until they are in force.

* `documents` reads the file of a policy, and has the one to begin with.
* `showing` says what there is: a policy and those before it, as lines and as documents.
* `following` applies a policy, and can say at any time how far it has come.
"""
