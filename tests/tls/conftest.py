"""The authority that the tests of TLS trust."""

import pytest

from ..support.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA, made once."""
    return Authority(tmp_path_factory.mktemp("ca"))
