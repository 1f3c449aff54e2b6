"""Bounds that do not fit together are refused, naming the setting."""

import pytest

from decreed.registry.config import MIB, parse_config
from decreed.registry.errors import ConfigError, ProtocolError
from decreed.registry.wire.codec import MAX_MESSAGES, decode_batch, encode
from decreed.registry.wire.frames import pack
from decreed.registry.wire.requests import Request


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        ({"max_value_bytes": 7 * MIB}, "limits.max_frame_bytes"),
        ({"max_value_bytes": 17 * MIB}, "limits.max_value_bytes"),
        ({"max_frame_bytes": 32 * MIB}, "limits.max_peer_queue_bytes"),
        ({"max_peer_queue_bytes": 16 * MIB}, "limits.max_peer_queue_bytes"),
    ],
)
def test_bounds_that_do_not_fit_together_are_refused(limits: dict[str, int], setting: str) -> None:
    document = {"cluster_id": "x", "members": {"n1": "127.0.0.1:7400"}, "limits": limits}
    with pytest.raises(ConfigError, match=setting):
        parse_config(document)


def test_values_of_16_mib_are_the_largest_that_can_be_allowed() -> None:
    limits = {
        "max_value_bytes": 16 * MIB,
        "max_frame_bytes": 18 * MIB,
        "max_peer_queue_bytes": 72 * MIB,
    }
    document = {"cluster_id": "x", "members": {"n1": "127.0.0.1:7400"}, "limits": limits}
    assert parse_config(document).limits.max_value_bytes == 16 * MIB


def test_text_is_not_accepted_as_bytes() -> None:
    """A value that came as text would otherwise be decoded as base64, and frozen permanently."""
    request = [50, 1, 1_000, False, ["k", "text", "", "", b"1", ""]]
    with pytest.raises(ProtocolError, match="Expected `bytes`"):
        decode_batch(encode([request]), Request)


def test_a_frame_holds_a_bounded_number_of_messages() -> None:
    with pytest.raises(ProtocolError):
        decode_batch(encode([[58, 1]] * (MAX_MESSAGES + 1)), Request)
    frames = list(pack([encode([58, 1])] * (2 * MAX_MESSAGES)))
    assert all(len(decode_batch(f[4:], Request)) <= MAX_MESSAGES for f in frames)
