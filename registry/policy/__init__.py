"""Who may do what: the policy as a document, its checks, and what it allows. No I/O.

* `document` has the values: roles made of grants, who has which role, tokens, limits, quotas.
* `parsing` reads the bytes of a document, and says what is wrong with it and where; `encoding` writes
  its one canonical form, and `names` has identities as text.
* `rights` answers whether an identity may do something (S12, S13); `needs` which right each request
  takes (S19); `tokens` finds the identity that shows a token (S07).
* `difference` says what one policy changes in another, for people to read.
* `series` names the decrees ``$policy@N``, which hold the policies (S11).
* `confirming` says when a policy is in force, and until when an older one may be obeyed (S14, S16).

The values know no clock: the time is an argument.
"""
