"""A decoder that serves many frames decodes each as a new one would, whatever came before."""

import random

import pytest

from decreed.registry.errors import ProtocolError
from decreed.registry.wire.codec import BatchDecoder, decode_batch, encode
from decreed.registry.wire.peers import PeerMessage, Ping

SOUND = encode((Ping(3, True, False), Ping(4, False, True)))


def test_a_decoder_decodes_one_frame_after_the_other() -> None:
    decoder = BatchDecoder()
    for number in range(30):
        pings = (Ping(number, True, False),) * number
        assert decoder.decode(encode(pings), PeerMessage) == pings


@pytest.mark.parametrize("rest", [SOUND, SOUND[:5], b"\x00" * 9_000])
def test_bytes_behind_a_frame_are_not_taken_for_the_next(rest: bytes) -> None:
    decoder = BatchDecoder()
    with pytest.raises(ProtocolError, match="after the end"):
        decoder.decode(SOUND + rest, PeerMessage)
    assert decoder.decode(SOUND, PeerMessage) == decode_batch(SOUND, PeerMessage)


@pytest.mark.parametrize("seed", range(10))
def test_after_any_fault_the_next_frame_is_as_from_a_new_decoder(seed: int) -> None:
    chance, decoder = random.Random(seed), BatchDecoder()
    faults = 0
    for _ in range(300):
        data = bytearray(SOUND)
        for _ in range(chance.randint(0, 2)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        frame = bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
        faults += outcome(decoder, frame).startswith("ProtocolError")
        assert outcome(decoder, frame) == outcome(BatchDecoder(), frame)
        assert outcome(decoder, SOUND) == outcome(BatchDecoder(), SOUND)
    assert 50 < faults < 300


def outcome(decoder: BatchDecoder, frame: bytes) -> str:
    try:
        return repr(decoder.decode(frame, PeerMessage))
    except ProtocolError as error:
        return f"ProtocolError {error}"
