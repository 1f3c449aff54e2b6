"""Invisible characters: two texts that differ only in one of them look alike.

They are the *default ignorable* characters of Unicode, which are drawn as nothing, and a few more that
are drawn as blank space. Some of them count as letters or marks (the Hangul fillers, the variation
selectors), so that a test for letters accepts them. Soft hyphens, joiners, marks that change the
direction of writing, and byte order marks are among them.
"""

import re

# Unicode's DerivedCoreProperties, Default_Ignorable_Code_Point
_IGNORABLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# a blank letter, symbol and mark: Khitan filler, Braille blank, null notehead
_BLANK = r"\u2800\U00016fe4\U0001d159"

INVISIBLE = re.compile(f"[{_IGNORABLE}{_BLANK}]")
"""Finds a character that is drawn as nothing or as blank space, except spaces and controls."""
