"""HOST:PORT."""

import pytest

from mombroker.model.errors import ConfigurationError
from mombroker.wiring.settings import Address, parse_address
from mombroker.wiring.settings_address import HTTP, optional_addresses, parse_network


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:1883", Address("127.0.0.1", 1883)),
        ("broker.example:0", Address("broker.example", 0)),
        ("[::1]:1883", Address("::1", 1883)),
        ("[::]:65535", Address("::", 65535)),
        ("[fe80::1%eth0]:1883", Address("fe80::1%eth0", 1883)),
        ("mqtts://broker.example:8883", Address("broker.example", 8883, "mqtts")),
        ("wss://[::]:8084/a/b", Address("::", 8084, "wss", "/a/b")),
        ("unix:/run/mqtt.sock", Address("", 0, "unix", "/run/mqtt.sock")),
        ("systemd:devices", Address("", 0, "", "", "devices")),
        ("wss://systemd:web/mqtt", Address("", 0, "wss", "/mqtt", "web")),
    ],
)
def test_an_address_is_read_and_written_the_same_way(text, address):
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "1883", ":1883", "host", "host:", "host:x", "::1:1883", "[::1]", "a b:1", "h:-1"])
def test_what_is_no_address_is_refused_with_examples(text):
    with pytest.raises(ConfigurationError, match=r"is not an address: write HOST:PORT, such as 127\.0\.0\.1:1883"):
        parse_address(text)


def test_a_port_above_65535_is_refused():
    with pytest.raises(ConfigurationError, match="above 65535"):
        parse_address("host:65536")


@pytest.mark.parametrize("text", ["127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "localhost:1", "LocalHost:1"])
def test_an_address_of_this_machine_alone_is_known_as_such(text):
    assert parse_address(text).is_loopback


@pytest.mark.parametrize("text", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example:1", "[fe80::1%lo]:1"])
def test_any_other_address_may_be_reached_from_elsewhere(text):
    assert not parse_address(text).is_loopback


def test_what_goes_without_saying_need_not_be_said():
    assert parse_address("mqtt://127.0.0.1:1883") == parse_address("127.0.0.1:1883")
    assert parse_address("ws://127.0.0.1:1").path == "/mqtt"


@pytest.mark.parametrize("text", ["https://h:1", "mqtt://h:1/path", "unix://h:1", "h:1/path", "ws://h:1/a b", "unix:"])
def test_what_is_not_spoken_there_is_refused(text):
    with pytest.raises(ConfigurationError):
        parse_address(text, ("mqtt", "mqtts", "ws", "wss"))
    with pytest.raises(ConfigurationError):
        parse_address("mqtts://h:1", HTTP)
    with pytest.raises(ConfigurationError, match="for MQTT only"):
        parse_address("systemd:web", HTTP)


def test_a_unix_socket_is_of_this_machine_and_an_inherited_one_may_be_anywhere():
    assert parse_address("unix:/x").is_loopback
    assert not parse_address("systemd:x").is_loopback


@pytest.mark.parametrize("text", ["10.0.0.7", "10.0.0.0/8", "fd00::/8"])
def test_a_network_is_an_address_or_many(text):
    assert str(parse_network(text)).startswith(text)


@pytest.mark.parametrize("text", ["10.0.0.7/8", "balancer", "10.0.0.0/33"])
def test_what_is_no_network_is_refused_with_examples(text):
    with pytest.raises(ConfigurationError, match=r"write 10\.0\.0\.7, 10\.0\.0\.0/8 or fd00::/8"):
        parse_network(text)


@pytest.mark.parametrize("text", ["", " ", "off"])
def test_an_address_that_may_be_left_out_may_be_off(text):
    assert optional_addresses(text) == ()


def test_several_addresses_stand_in_one_text_with_commas():
    assert optional_addresses("127.0.0.1:1, [::1]:2") == (Address("127.0.0.1", 1), Address("::1", 2))
    with pytest.raises(ConfigurationError, match="'' is not an address"):
        optional_addresses("127.0.0.1:1,")
