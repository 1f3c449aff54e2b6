r"""Escaping foreign text for display: it controls no terminal, and looks like no other text.

Every text from the cluster or a file that a command shows goes through here. There is one convention
for all commands:

- a backslash begins an escape; a backslash of the text itself is ``\\``;
- ``\n``, ``\r``, ``\t`` and ``\xNN``: one byte, a control character or part of what is not UTF-8;
- ``\uNNNN`` and ``\UNNNNNNNN``: a character that is invisible, or reverses the direction of writing;
- a blank at an end of the text, or after another blank, is ``\x20``, since two blanks separate fields;
- a text that is too long ends in ``…`` and its size; a ``…`` of the text itself is ``\u2026``.

So no two values look alike (except where they are cut), and `unshown` returns the bytes. No I/O.
"""

import re

from ...registry.invisible import INVISIBLE

SHOWN_CHARS = 200

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
_STEERING = re.compile("(?![\t\n])[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_BARE = re.compile(f"\\\\|^ | $|(?<= ) |…(?= \\()|{INVISIBLE.pattern}")
_ESCAPES = re.compile(
    r"\\(?:(?P<short>[nrt\\])|x(?P<byte>[0-9a-f]{2})|u(?P<four>[0-9a-f]{4})|U(?P<eight>[0-9a-f]{8}))"
)
_MEANT = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


def show(data: bytes | str, most: int = SHOWN_CHARS) -> str:
    """Bytes or text on one line, by the convention above, cut after `most` characters."""
    text = _decoded(data)
    cut = text[:most]
    shown = _escaped(_NOT_BARE.sub(_escape, cut), keep="\\")
    return f"{shown}… ({len(data)} {_unit(data)})" if len(text) > most else shown


def show_lines(data: bytes) -> str:
    """A whole value for a terminal: newlines, tabs and blanks are kept, all else is as in `show`."""
    text = _decoded(data).replace("\\", "\\\\")
    return _escaped(text, keep="\\\n\t")


def show_piped(data: bytes) -> tuple[str, bool]:
    """A whole value for a program, exact except for bytes that are not text or control a terminal.

    A pipe may end at a terminal, after ``ssh``, ``kubectl exec`` or in the log of a CI job.

    Returns:
        The text, and whether it is exact.
    """
    text = _decoded(data)
    shown = _STEERING.sub(_escape, text)
    return shown, shown == text


def escape_hidden(text: str, keep: str = "") -> str:
    """A text for people, with all characters escaped that control a terminal or are invisible.

    A backslash is not escaped, so that the text may contain values that are shown already.

    Args:
        text: what is to be printed.
        keep: control characters that are meant, such as the newlines of a help text.
    """
    return _escaped(text, keep="\\" + keep)


def escape_json(text: str) -> str:
    """The same for JSON, whose strings have escapes of their own."""
    if text.isprintable() and not INVISIBLE.search(text):
        return text
    return "".join(_escape_json(each) if _is_hidden(each) else each for each in text)


def one_line(text: str, most: int) -> str:
    """Text with hidden characters escaped, on one line, cut after `most` characters."""
    line = escape_hidden(text[:most])
    return f"{line}… ({len(text)} characters)" if len(text) > most else line


def counted(count: int, noun: str) -> str:
    """A number of things: ``1 key``, ``2 keys``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def unshown(shown: str) -> bytes:
    """The bytes that `show` showed, if nothing was cut; this proves that the form is unambiguous."""
    parts: list[bytes] = []
    end = 0
    for found in _ESCAPES.finditer(shown):
        parts += [shown[end : found.start()].encode(), _bytes_of(found)]
        end = found.end()
    return b"".join([*parts, shown[end:].encode()])


def _decoded(data: bytes | str) -> str:
    """Text in which each byte that is not UTF-8 is a lone surrogate."""
    return data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data


def _is_hidden(character: str) -> bool:
    return not character.isprintable() or INVISIBLE.match(character) is not None


def _escaped(text: str, keep: str) -> str:
    """The text with hidden characters escaped, except `keep`."""
    if text.isprintable() and not INVISIBLE.search(text):
        return text
    return "".join(
        _escape_one(each) if each not in keep and _is_hidden(each) else each for each in text
    )


def _escape(found: re.Match[str]) -> str:
    return _escape_one(found[0])


def _escape_one(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape_json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _bytes_of(found: re.Match[str]) -> bytes:
    if found["short"]:
        return _MEANT[found["short"]].encode()
    if found["byte"]:
        return bytes([int(found["byte"], 16)])
    return chr(int(found["four"] or found["eight"], 16)).encode("utf-8", "surrogatepass")


def _unit(data: bytes | str) -> str:
    return "bytes" if isinstance(data, bytes) else "characters"
