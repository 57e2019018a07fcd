"""Which URLs --ftp accepts, and what they mean."""

import pytest

from contactexport.cli.ftp_url import ftp_settings_from_url, sftp_settings_from_url
from contactexport.errors import InvalidRequest


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ftp://anna@h", ("h", None, "anna", None)),
        ("ftp://anna@h/", ("h", None, "anna", None)),
        ("ftp://anna@h:2121/in", ("h", 2121, "anna", "in")),
        ("ftp://anna@h/a/b", ("h", None, "anna", "a/b")),
        ("ftp://anna@h//srv/in", ("h", None, "anna", "/srv/in")),
        ("ftp://an%40na@h/a%20b", ("h", None, "an@na", "a b")),
        ("ftp://anna@[::1]:21/x", ("::1", 21, "anna", "x")),
    ],
)
def test_url_names_host_port_user_and_folder(url, expected):
    read = ftp_settings_from_url(url)
    assert (read["host"], read["port"], read["username"], read["folder"]) == expected
    assert not read["tls"]


def test_ftps_asks_for_tls():
    assert ftp_settings_from_url("ftps://anna@h")["tls"]


@pytest.mark.parametrize("url", ["", "h", "http://a@h", "ftp://h/in", "ftp://a@/in", "ftp://a@h:x/", "ftp://a@h?q"])
def test_invalid_url_is_refused_with_expected_form(url):
    with pytest.raises(InvalidRequest, match=r"^Invalid value for --ftp: .*ftp://user@host:port/folder expected"):
        ftp_settings_from_url(url)


def test_password_in_url_is_refused_and_not_repeated():
    with pytest.raises(InvalidRequest) as refusal:
        ftp_settings_from_url("ftp://anna:geheim@h/in")
    assert "password" in refusal.value.text
    assert "geheim" not in refusal.value.text


def test_sftp_url_has_no_tls():
    expected = {"host": "h", "port": None, "username": "anna", "folder": "in"}
    assert sftp_settings_from_url("sftp://anna@h/in") == expected


@pytest.mark.parametrize("url", ["ftp://anna@h", "sftp://h", "sftp://a:b@h", "sftp://a@h:x"])
def test_invalid_sftp_url_is_refused(url):
    with pytest.raises(InvalidRequest, match=r"^Invalid value for --sftp: "):
        sftp_settings_from_url(url)
