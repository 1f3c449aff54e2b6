"""Bounds that do not fit together are refused, naming the setting."""

import pytest

from decreed.registry.config import MIB, parse_config
from decreed.registry.errors import ConfigError


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
