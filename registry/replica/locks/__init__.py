"""What clients ask about locks: who waits for the next term, who holds the last, and giving up.

No term is proposed while an earlier one may still be held, by the clock of a prepare quorum. A term is
a decree like any other, and this room decides nothing by itself.
"""
