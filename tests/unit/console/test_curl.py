"""The commands of a form are pasted into a real shell. A stand-in for curl shows what it gets."""

import json
import subprocess

import pytest

from contactexport.console.curl import command

URL = "http://127.0.0.1:8025/api/v2/contact/getchanges"
FAKE_CURL = """#!/usr/bin/env bash
printf '%s\\0' "$@" > "$(dirname "$0")/arguments"
cat > "$(dirname "$0")/body"
"""


@pytest.fixture
def shell(tmp_path):
    """Runs lines in bash with a `curl` that notes its arguments and its input. Returns both."""
    (tmp_path / "curl").write_text(FAKE_CURL)
    (tmp_path / "curl").chmod(0o755)

    def run(lines: str, typed: str) -> tuple[list[str], str]:
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TOKEN": "cx_test"}
        subprocess.run(["bash", "-c", lines], input=typed, text=True, env=environment, check=True, timeout=20)
        return (tmp_path / "arguments").read_text().split("\0")[:-1], (tmp_path / "body").read_text()

    return run


def test_command_sends_the_body_as_it_is(shell):
    body = {"origin": "form", "folder": 'it\'s "$HOME" `id` \\n ü', "contact_fields": ["1"]}
    arguments, _ = shell(command(URL, body, {}), "")
    assert json.loads(arguments[arguments.index("--data-binary") + 1]) == body
    assert (arguments[-1], "Authorization: Bearer cx_test" in arguments) == (URL, True)


@pytest.mark.parametrize("password", ["plain", 'a "b" \\ c', "$(id) `id` ; '", " ends in blanks  ", "pä§ß", "%s %n &"])
def test_command_asks_for_a_secret_and_sends_it_unchanged_past_the_arguments(shell, password):
    body = {"ftp_settings": {"host": "ftp.example.com", "password": "never shown"}}
    lines = command(URL, body, {"FTP_PASSWORD": ("ftp_settings", "password")})
    assert "never shown" not in lines
    arguments, sent = shell(lines, password + "\n")
    assert json.loads(sent) == {"ftp_settings": {"host": "ftp.example.com", "password": password}}
    assert not any(password in one for one in arguments)


def test_command_asks_for_two_secrets_one_after_the_other(shell):
    body = {"notification_url": "https://x@example.com/?t=1", "ftp_settings": {"password": "y"}}
    asked_for = {"FTP_PASSWORD": ("ftp_settings", "password"), "NOTIFICATION_URL": ("notification_url",)}
    _, sent = shell(command(URL, body, asked_for), "secret\nhttps://a:b@example.com/?t=2\n")
    assert json.loads(sent) == {
        "notification_url": "https://a:b@example.com/?t=2",
        "ftp_settings": {"password": "secret"},
    }


def test_command_is_one_that_a_shell_reads_as_a_whole_before_it_asks():
    lines = command(
        URL, {"ftp_settings": {"password": "y"}}, {"FTP_PASSWORD": ("ftp_settings", "password")}
    ).splitlines()
    assert all(line.endswith(("&&", "|", "\\")) for line in lines[:-1])


def test_command_reads_a_private_key_from_a_file(shell, tmp_path):
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl+/=\n-----END OPENSSH PRIVATE KEY-----\n"
    (tmp_path / "my key").write_text(key)
    body = {"sftp_settings": {"private_key": "never shown"}}
    lines = command(URL, body, {"SFTP_PRIVATE_KEY": ("sftp_settings", "private_key")})
    assert "never shown" not in lines
    _, sent = shell(lines, f"{tmp_path}/my key\n")
    assert json.loads(sent)["sftp_settings"]["private_key"] == key
