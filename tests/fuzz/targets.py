"""The fuzz targets: each takes any bytes, and must not raise.

A target catches the errors that the code under test documents, and checks results where it can. Any
other error is a bug in the product. The corpus test and the coverage-guided run use the same targets.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import typer

from decreed.cli.config.settings import parse_text
from decreed.cli.importing import formats
from decreed.cli.importing.flatten import flatten, whole
from decreed.cli.importing.plan import Names, arranged
from decreed.cli.options.types import parse_duration, parse_endpoints
from decreed.registry.errors import BadRequest, ConfigError, Damaged, ProtocolError, Refused
from decreed.registry.keys import parse_key, parse_prefix, parse_series
from decreed.registry.paxos.instance import Instance
from decreed.registry.wire.codec import decode_batch, encode
from decreed.registry.wire.frames import HEADER_BYTES, FrameCutter, frame
from decreed.storage.layout import instance_key, key_of
from decreed.storage.records import VERSION, pack, seal, unpack

from .strategies import UNIONS

Target = Callable[[bytes], None]
MAX_FRAME = 4_096
STORED = instance_key("a/b@7")


def frames(data: bytes) -> None:
    """The first byte sets the size of chunks; the cut payloads join to the input."""
    step = data[0] + 1 if data else 1
    stream = data[1:]
    cutter, payloads = FrameCutter(MAX_FRAME), list[bytes]()
    try:
        for start in range(0, len(stream), step):
            payloads += cutter.feed(stream[start : start + step])
            assert cutter.pending <= HEADER_BYTES + MAX_FRAME + step
    except ProtocolError:
        return
    whole = b"".join(frame(payload) for payload in payloads)
    assert stream[: len(whole)] == whole and cutter.pending == len(stream) - len(whole)


def wire(data: bytes) -> None:
    """A payload, decoded as each kind of batch; the result survives encoding and decoding."""
    for union in UNIONS.values():
        try:
            batch = decode_batch(data, union)
        except ProtocolError:
            continue
        assert decode_batch(encode(batch), union) == batch


def record(data: bytes) -> None:
    """A stored record, without and with a valid checksum in front."""
    for stored in (data, seal(STORED, VERSION, data)):
        try:
            value = unpack(STORED, stored, Instance, "here")
        except (Damaged, Refused):
            continue
        assert unpack(STORED, pack(STORED, value), Instance, "here") == value


def key(data: bytes) -> None:
    """A key, a prefix and a series."""
    text = data.decode(errors="replace")
    try:
        parsed = parse_key(text)
        assert parse_key(parsed) == parsed == text and key_of(instance_key(parsed)) == parsed
    except BadRequest:
        pass
    for parse in (parse_prefix, parse_series):
        with contextlib.suppress(BadRequest):
            assert parse(parse(text)) in (text, text[:-1])


def config(data: bytes) -> None:
    """The text of a ``cluster.toml``."""
    try:
        parsed = parse_text(data.decode(errors="replace"))
    except ConfigError:
        return
    assert all(parsed.address(node)[1] for node in parsed.nodes) and len(parsed.digest()) == 16


def settings_file(data: bytes) -> None:
    """The first byte chooses a format, the rest is a file in it; valid settings can be frozen."""
    form = list(formats.FORMATS)[data[0] % len(formats.FORMATS)] if data else "json"
    with contextlib.suppress(BadRequest):
        value = formats.read(form, formats.text_of(data[1:]))
        with contextlib.suppress(BadRequest):
            assert whole("p", value).size > 0
        sound = [item for item in arranged(flatten("p", value), "p", Names()) if not item.error]
        assert len({parse_key(item.key) for item in sound}) == len(sound)
        assert all(item.size >= 0 for item in sound)


def options(data: bytes) -> None:
    """The texts of options."""
    text = data.decode(errors="surrogateescape")
    _quietly(parse_duration, text)
    _quietly(parse_endpoints, text)


def _quietly(parse: Callable[[str], Any], text: str) -> None:
    with contextlib.suppress(typer.BadParameter):
        parse(text)


TARGETS: dict[str, Target] = {
    "frames": frames,
    "wire": wire,
    "record": record,
    "key": key,
    "config": config,
    "options": options,
    "settings_file": settings_file,
}
