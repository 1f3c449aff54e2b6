"""``cluster.toml``: any document is a config or a `ConfigError` that names something."""

from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st
from tomlkit.exceptions import TOMLKitError

from decreed.cli.config.settings import load_config, parse_text
from decreed.cli.config.settings_text import config_text
from decreed.cli.shell.failures import CommandFailed
from decreed.registry.addresses import split_address
from decreed.registry.config import ClusterConfig, parse_config
from decreed.registry.errors import ConfigError

from . import targets
from .texts import settings_documents, sound_documents

PIECES = st.sampled_from(
    [
        "[members]\n", "[limits]\n", "[", "]", "a=1\n", '"', "\'\'\'", "n1='h:1'\n", "\0", "\n", "\r",
        "cluster_id='c'\n", "[[members]]\n", "[quorums]\nprepare=", "\\u", "2024-01-01", "{", "}",
        "1e999", "nan", "0x", "members.n1='h:1'\n", ",", "#", "é", "\u2028", "=",
    ]
)  # fmt: skip


def read(document: dict[str, Any]) -> ClusterConfig | None:
    try:
        return parse_config(document)
    except ConfigError as error:
        assert str(error).strip()
        return None


@given(settings_documents())
def test_any_document_is_a_config_or_a_config_error(document: dict[str, Any]) -> None:
    config = read(document)
    if config is not None:
        assert len(config.nodes) in (1, 3, 5, 7)
        assert config.quorums.prepare + config.quorums.accept > len(config.nodes)
        assert all(config.address(node) for node in config.nodes)


@given(sound_documents(), settings_documents())
def test_a_sound_document_stays_a_config_or_fails_by_its_other_sections(
    sound: dict[str, Any], other: dict[str, Any]
) -> None:
    assert read(sound) is not None
    read({**other, **sound})


@given(settings_documents())
def test_any_document_written_as_toml_is_read_alike(document: dict[str, Any]) -> None:
    try:
        text = tomlkit.dumps(document)
    except (TOMLKitError, ValueError, TypeError):
        return
    targets.config(text.encode(errors="replace"))


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=60))
def test_any_text_is_a_config_or_a_config_error(text: str) -> None:
    try:
        parse_text(text)
    except ConfigError as error:
        assert str(error).strip()


@given(data=st.binary(max_size=100))
def test_any_file_is_a_config_or_fails_with_its_name(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(data)
    with pytest.raises(CommandFailed) as caught:
        load_config(path)
    assert caught.value.thing == str(path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "a=" + "[" * 50_000,
        "a=" + "{b=" * 50_000,
    ],
    ids=["a header", "arrays", "tables"],
)
def test_deep_nesting_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_text(text)


@given(sound_documents(), st.integers(0, 7), st.integers(0, 7))
def test_a_config_that_init_writes_can_be_read(
    sound: dict[str, Any], prepare: int, accept: int
) -> None:
    try:
        text = config_text(sound["cluster_id"], sound["members"], prepare, accept)
    except ConfigError:
        return
    config = parse_text(text)
    assert (config.cluster_id, dict(config.addresses)) == (sound["cluster_id"], sound["members"])


@given(st.text(max_size=20) | st.from_regex(r"\[?[a-z:.]{0,6}\]?:[0-9]{0,6}", fullmatch=True))
def test_any_text_is_an_address_or_a_config_error(text: str) -> None:
    try:
        host, port = split_address(text)
    except ConfigError:
        return
    assert host and 0 < port < 65_536
