"""Malformed addresses are refused immediately, with an error that shows the right form."""

import pytest

from decreed.client import connect
from decreed.client.transport.endpoints import parse_endpoints
from decreed.registry.addresses import (
    advertised,
    is_wildcard,
    join_address,
    split_address,
    split_listen,
)
from decreed.registry.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("http://h:7400", "http:// is left out: write h:7400"),
        ("tcp://h", "tcp:// is left out: write h:7400"),
        ("https://h:1/x?y#z", "write h:1"),
        ("a:1;b:2", "commas between"),
        ("a:1 b:2", "commas between"),
        ("a:1\tb:2", "commas between"),
        ("a:1,,b:2", "has an empty part"),
        (",a:1", "has an empty part"),
        ("h", "it has no port: write h:7400"),
        ("h:", "it has no port: write h:7400"),
        ("::1", r"write [::1]:7400"),
        ("::1:7400", r"write [::1]:7400"),
        ("2001:db8::1", r"write [2001:db8::1]:7400"),
        ("[::1]", r"write [::1]:7400"),
        ("[::1]:", r"write [::1]:7400"),
        ("[h]:1", "'h' is no IPv6 address"),
        ("a:b:1", "in brackets"),
        (":7400", "write 127.0.0.1:7400"),
        ("h:0", "a port is 1 to 65535, not '0'"),
        ("h:65536", "a port is 1 to 65535"),
        ("h:" + "9" * 5_000, "a port is 1 to 65535"),
        ("h:٣", "is no port"),
        ("h:+1", "is no port"),
        ("user@h:1", "it has no user: write h:1"),
        ("h:7400/x", "nothing stands behind the port: write h:7400"),
        ("a..b:1", "is no host name"),
        ("x" * 64 + ".org:1", "is no host name"),
        ("a\x1b[2J:1", "in brackets"),
        ("a\x1b:1", "is no host name"),
        ("", "write host:port"),
    ],
)
def test_a_malformed_address_is_refused_with_the_right_form(text: str, way_out: str) -> None:
    with pytest.raises(ConfigError) as caught:
        connect(text)
    assert way_out in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_password_in_an_address_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ConfigError) as caught:
        split_address("https://me:secret@h:1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("h:1", ("h", 1)),
        (" my_host-2.example.org.:65535 ", ("my_host-2.example.org.", 65_535)),
        ("grüße.example:1", ("grüße.example", 1)),
        ("[::1]:1", ("::1", 1)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
    ],
)
def test_valid_addresses_are_parsed(text: str, pair: tuple[str, int]) -> None:
    assert split_address(text) == pair
    assert split_address(join_address(*pair)) == pair


def test_spaces_around_commas_and_a_trailing_comma_are_ignored() -> None:
    assert [str(each) for each in parse_endpoints([" a:1 , [::1]:2,", "a:1"])] == ["a:1", "[::1]:2"]


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("[2001:DB8:0:0::1]:7400", "[2001:db8::1]:7400"),
        ("[0:0:0:0:0:0:0:1]:1", "[::1]:1"),
        ("[::]:7400", "[::]:7400"),
        ("127.0.0.1:7400", "127.0.0.1:7400"),
    ],
)
def test_equal_addresses_are_equal_texts(text: str, usual: str) -> None:
    """The usual form of IPv6 goes through everything that writes an address, and back."""
    assert join_address(*split_address(text)) == usual
    assert [str(each) for each in parse_endpoints([text, usual])] == [usual]
    assert split_address(usual) == split_address(text)


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        (":7400", "write 0.0.0.0:7400,[::]:7400"),
        ("*:7", "for all addresses of this machine write 0.0.0.0:7,[::]:7"),
        ("0.0.0.0", "it has no port"),
        ("::", "write [::]:7400"),
        ("a:1,,b:1", "empty part"),
        ("", "no address is given"),
    ],
)
def test_what_cannot_be_listened_on_is_refused_with_the_right_form(text: str, way_out: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split_listen(text)
    assert way_out in str(caught.value)


def test_several_addresses_are_listened_on_each_once() -> None:
    both = (("0.0.0.0", 7_400), ("::", 7_400))
    assert split_listen("0.0.0.0:7400, [::]:7400,[0::0]:7400") == both


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0.0.0.0:7400", "others cannot connect to 0.0.0.0"),
        ("0:7400", "others cannot connect to 0"),
        ("[::]:7400", "others cannot connect to ::"),
        ("[0:0::0]:7400", "others cannot connect to ::"),
        ("[::ffff:0.0.0.0]:7400", "others cannot connect to ::ffff:"),
        ("[fe80::1%eth0]:7400", "a zone such as %eth0"),
        ("h:0", "a port is 1 to 65535"),
        ("http://h:7400", "http:// is left out"),
        ("h 7400", "commas between"),
        (" ", "it is empty"),
        ("h", "it has no port"),
        ("a:1,b:1", "in brackets"),
    ],
)
def test_what_others_cannot_use_is_not_advertised(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        advertised(text)
    assert fault in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.0.0.0", "n0", "zero.example", "1::"])
def test_no_other_host_is_a_wildcard(host: str) -> None:
    assert not is_wildcard(host)
    assert advertised(f" {join_address(host, 1)}\n") == join_address(host, 1)
