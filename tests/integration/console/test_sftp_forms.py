"""SFTP, compression and encryption in the forms of the console."""

import html
import re

from contactexport.delivery.sftp_credentials import SftpCredentials
from tests.support.console_forms import LOCAL, SECRET
from tests.support.console_pages import signed_in
from tests.support.exporting import execute
from tests.support.ssh_hosts import make_key

FORM = "/console/new-export"
BY_SFTP = {
    "distribution_method": "sftp",
    "sftp_settings.host": "127.0.0.1",
    "sftp_settings.port": "2222",
    "sftp_settings.username": "anna",
    "sftp_settings.host_key": "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
}


def operator(app, context):
    browser = signed_in(app, context, operator=True)
    browser.get(FORM)
    return browser


def posted(browser, path=FORM, **fields):
    return browser.post(path, **{**LOCAL, **BY_SFTP, **fields})


def stored(context):
    row = execute(context, "SELECT settings, ftp_secret FROM export ORDER BY id DESC LIMIT 1")[0]
    return row["settings"], SftpCredentials.from_text(context.secrets.decrypt(bytes(row["ftp_secret"])))


def test_export_by_sftp_is_sent_with_the_password_of_the_preview(app, context):
    browser = operator(app, context)
    page = posted(browser, **{"sftp_settings.password": SECRET, "compression": "1"})
    assert page.status_code == 200, page.text
    assert SECRET not in page.text
    assert "read -rs SFTP_PASSWORD" in html.unescape(page.text)
    sealed = re.search(r'name="sealed" value="([^"]+)"', page.text)[1]
    changed = posted(browser, FORM + "/send", sealed=sealed, **{"sftp_settings.host_key": "SHA256:" + "A" * 43})
    assert changed.status_code == 400
    assert posted(browser, FORM + "/send", sealed=sealed, compression="1").status_code == 303
    settings, credentials = stored(context)
    assert (settings["distribution_method"], settings["compression"]) == ("sftp", "gzip")
    assert credentials == SftpCredentials(SECRET)


def test_private_key_is_kept_for_sending_and_on_no_page(app, context, tmp_path):
    make_key(tmp_path / "key", passphrase="phrase")
    key = (tmp_path / "key").read_text()
    browser = operator(app, context)
    page = posted(browser, **{"sftp_settings.private_key": key, "sftp_settings.passphrase": "phrase"})
    assert page.status_code == 200, page.text
    assert key.splitlines()[1] not in page.text
    assert "file with the SFTP_PRIVATE_KEY" in html.unescape(page.text)
    sealed = re.search(r'name="sealed" value="([^"]+)"', page.text)[1]
    assert posted(browser, FORM + "/send", sealed=sealed).status_code == 303
    assert stored(context)[1].private_key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_errors_of_sftp_are_beside_their_inputs(app, context):
    browser = operator(app, context)
    page = posted(browser, openpgp_key="no key", **{"sftp_settings.password": "x", "sftp_settings.host_key": "y"})
    assert page.status_code == 400
    for name in ("sftp_settings.host_key", "encryption.openpgp_key"):
        assert f'id="wrong-{name}"' in page.text, name
    page = posted(browser, **{"sftp_settings.private_key": "x"})
    assert 'id="wrong-sftp_settings.private_key"' in page.text
    missing = posted(browser, **{"sftp_settings.host_key": ""})
    assert 'id="wrong-sftp_settings.password"' in missing.text
