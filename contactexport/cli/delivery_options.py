"""The options that say where a file goes, and in which form. Secrets are asked for, or come from the environment."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from contactexport.cli.ftp_url import ftp_settings_from_url, sftp_settings_from_url
from contactexport.delivery.sftp_credentials import BadPassphrase, SftpCredentials, read_private_key
from contactexport.errors import UsageError

Command = Callable[..., Any]

_OPTIONS = (
    click.option("--ftp", metavar="URL", help="Upload to ftp[s]://user@host:port/folder. Asks for the password."),
    click.option("--sftp", metavar="URL", help="Upload to sftp://user@host:port/folder. Asks for the password."),
    click.option("--sftp-host-key", metavar="SHA256:…", help="Fingerprint that the key of the SFTP host must have."),
    click.option("--sftp-key-file", type=click.Path(path_type=Path), help="Log in by this private key instead."),
    click.option("--ftp-temporary-name", metavar="PATTERN", help="Name during the upload, such as %s.tmp or in/%s."),
    click.option(
        "--compression", type=click.Choice(["gzip"]), help="Compress the uploaded file. Its name ends in .gz."
    ),
    click.option(
        "--openpgp-key", type=click.Path(path_type=Path), help="Encrypt the uploaded file for the public key in there."
    ),
)


def delivery_options(command: Command) -> Command:
    """Adds the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def delivery_of(options: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a request for these options, none if the file stays here. Raises UsageError, InvalidRequest."""
    if options["ftp"] and options["sftp"]:
        raise UsageError("--ftp and --sftp exclude each other")
    for option in ("sftp_host_key", "sftp_key_file"):
        if options[option] and not options["sftp"]:
            raise UsageError(f"--{option.replace('_', '-')} is for --sftp only")
    key_file = options["openpgp_key"]
    form = {
        "compression": options["compression"],
        "encryption": key_file and {"openpgp_key": read_file("--openpgp-key", key_file)},
    }
    common = {"temporary_name": options["ftp_temporary_name"]}
    if options["ftp"]:
        target = ftp_settings_from_url(options["ftp"]) | common | {"password": ask_ftp_password()}
        return {"distribution_method": "ftp", "ftp_settings": target, **form}
    if options["sftp"]:
        target = sftp_settings_from_url(options["sftp"]) | common | {"host_key": options["sftp_host_key"]}
        target |= vars(ask_sftp_credentials(options["sftp_key_file"]))
        return {"distribution_method": "sftp", "sftp_settings": target, **form}
    return {name: value for name, value in form.items() if value}


def ask_ftp_password() -> str:
    """From FTP_PASSWORD, or from the terminal without echo. Never from an argument, because others can see those."""
    return ask_secret("FTP_PASSWORD", "FTP password")


def ask_sftp_credentials(key_file: Path | None) -> SftpCredentials:
    """The password from SFTP_PASSWORD or the terminal, or the key of the file. Raises UsageError.

    The passphrase of the key comes from SFTP_PASSPHRASE or the terminal, if it needs one.
    """
    if key_file is None:
        return SftpCredentials(password=ask_secret("SFTP_PASSWORD", "SFTP password"))
    text = read_file("--sftp-key-file", key_file)
    try:
        try:
            return SftpCredentials(private_key=read_private_key(text, None))
        except BadPassphrase:
            passphrase = ask_secret("SFTP_PASSPHRASE", f"Passphrase of {key_file}")
            return SftpCredentials(private_key=read_private_key(text, passphrase))
    except ValueError as wrong:
        raise UsageError(f"Invalid value for --sftp-key-file: {key_file}: {wrong}") from None


def ask_secret(variable: str, question: str) -> str:
    """The value of an environment variable, or from the terminal without echo."""
    given = os.environ.get(variable)
    if given is not None:
        return given
    answer: str = click.prompt(question, hide_input=True, err=True, default="", show_default=False)
    return answer


def read_file(option: str, path: Path) -> str:
    """The text of a file that an option names. Raises UsageError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"Invalid value for {option}: {path}: {reason}") from None
