"""The fuzz targets: each takes any bytes, and must not raise.

A target catches the errors that the code under test documents, and checks results where it can. Any
other error is a bug in the product. The corpus test and the coverage-guided run use the same targets.
"""

import contextlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import typer

from decreed.cli.config.settings import parse_text
from decreed.cli.importing import formats
from decreed.cli.importing.flatten import flatten, whole
from decreed.cli.importing.plan import Names, arranged
from decreed.cli.options.types import parse_duration, parse_endpoints
from decreed.registry.errors import BadRequest, ConfigError, Damaged, ProtocolError, Refused
from decreed.registry.identity import NAME, Identity
from decreed.registry.keys import parse_key, parse_prefix, parse_series
from decreed.registry.paxos.instance import Instance
from decreed.registry.policy.encoding import encode as canonical
from decreed.registry.policy.parsing import parse as parse_policy
from decreed.registry.policy.tokens import digest_of, parse_token
from decreed.registry.wire.codec import decode_batch, encode
from decreed.registry.wire.frames import HEADER_BYTES, FrameCutter, frame
from decreed.registry.wire.packed import pack_decrees
from decreed.storage.layout import instance_key, key_of
from decreed.storage.records import VERSION, pack, seal, unpack
from decreed.storage.snapshot.blocks import FIRST_LINE, Block, Kind, packed
from decreed.storage.snapshot.contents import SnapshotHead, decode_decrees
from decreed.storage.snapshot.reader import SnapshotReader

from .strategies import UNIONS

Target = Callable[[bytes], None]
MAX_FRAME = 4_096
SNAPSHOT = SnapshotHead(bytes(range(16)), "c", bytes(16), 0, (), 1, "fuzz", None)
STORED = instance_key("a/b@7")
GATEWAY = Identity("client", "gw")


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


def snapshot(data: bytes) -> None:
    """A snapshot: any bytes, and any payload in a sound block of any kind."""
    kind, payload = (data[0] % 5, data[1:]) if data else (0, b"")
    sound = FIRST_LINE + packed(Block(0, Kind.HEAD, encode(SNAPSHOT)), SNAPSHOT.id)
    for file in (
        data,
        FIRST_LINE + data,
        FIRST_LINE + packed(Block(0, kind, payload), SNAPSHOT.id),
        sound + packed(Block(1, kind, payload), SNAPSHOT.id),
    ):
        with contextlib.suppress(BadRequest, Damaged, Refused):
            for page in SnapshotReader(BytesIO(file)).pages():
                assert decode_decrees(pack_decrees(page), packed=True) == page


def token(data: bytes) -> None:
    """A token is one text, and what a node is shown is anything; no error repeats any of it."""
    assert len(digest_of(data, "c")) == 64
    text = data.decode(errors="replace")
    try:
        parsed = parse_token(text)
    except BadRequest as error:
        assert len(text) < 20 or text not in str(error)
        return
    assert parsed.show() == text.strip() and NAME.fullmatch(parsed.name)
    assert parse_token(parsed.show()).digest("c") == digest_of(parsed.show().encode(), "c")


def named(data: bytes) -> None:
    """The text of an identity that a gateway names."""
    with contextlib.suppress(ValueError):
        acting = GATEWAY.acts_for(data.decode(errors="replace"))
        assert acting.through == GATEWAY and acting.itself.through is None
        assert acting.recorded == str(acting.itself) == str(acting)


def _quietly(parse: Callable[[str], Any], text: str) -> None:
    with contextlib.suppress(typer.BadParameter):
        parse(text)


def policy(data: bytes) -> None:
    """A policy has one canonical form; whatever is wrong with it can be told on the wire."""
    try:
        parsed = parse_policy(data)
    except BadRequest as error:
        assert str(error).encode()
        return
    document = canonical(parsed)
    assert parse_policy(document) == parsed
    assert canonical(parse_policy(document)) == document


TARGETS: dict[str, Target] = {
    "frames": frames,
    "wire": wire,
    "record": record,
    "key": key,
    "config": config,
    "options": options,
    "settings_file": settings_file,
    "snapshot": snapshot,
    "policy": policy,
    "token": token,
    "named": named,
}
