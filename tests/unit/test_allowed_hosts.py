"""contactexport.allowed_hosts: reading CONTACTEXPORT_ALLOWED_HOSTS, and clear errors for what is no entry."""

import pytest

from contactexport.allowed_hosts import parse_allowed_hosts
from contactexport.errors import SettingsError
from contactexport.settings import load_settings


@pytest.mark.parametrize("text", ["", "  "])
def test_without_entries_nothing_is_allowed(text: str):
    assert parse_allowed_hosts(text) == ()


def test_the_order_and_every_kind_of_entry_are_kept():
    name, below, network, one = parse_allowed_hosts("ftp.intern.example:21, *.Intern.example,10.0.0.0/8:22,[::1]:2121")
    assert (name.name, name.subdomains, name.port) == ("ftp.intern.example", False, 21)
    assert (below.name, below.subdomains, below.port) == ("intern.example", True, None)
    assert (str(network.network), network.port) == ("10.0.0.0/8", 22)
    assert (str(one.network), one.port) == ("::1/128", 2121)


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "*.",
        "*.10",
        "a.*.example",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/",
        "::ffff:10.0.0.0/104",
        "10.0.0.0/8:0",
        "host:65536",
        "host:",
        "host:ftp",
        "ftp://host",
        "[host]",
        "[::1]:",
        "[::1",
        "::1:2121:x",
        "fe80::1%eth0",
        "a b",
        "a,,b",
        "a,",
    ],
)
def test_what_is_no_entry_stops_the_start_with_a_line_that_names_it(entry: str):
    with pytest.raises(SettingsError) as error:
        load_settings({}, {"CONTACTEXPORT_ALLOWED_HOSTS": entry})
    assert error.value.text.startswith(f"CONTACTEXPORT_ALLOWED_HOSTS is {entry!r}: ")
    assert "is no entry" in error.value.text
    assert "\n" not in error.value.text


def test_the_default_is_empty():
    assert load_settings({}, {}).allowed_hosts == ()
