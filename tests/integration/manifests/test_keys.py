"""The keys that sign manifests: made once, rotated, encrypted with the secret key, and never shown."""

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask.testing import FlaskCliRunner

from contactexport.context import Context
from contactexport.manifests import store
from contactexport.manifests.signing import key_id
from contactexport.secrets.rotate import rotate_secrets
from tests.support.exporting import context_with, execute
from tests.support.feeds import add_feed, run_feed


def private_key(context: Context) -> str:
    with context.database.transaction() as conn:
        return store.current_key(context, conn).to_text()


def test_first_key_is_made_once_however_many_ask(context: Context):
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: private_key(context), range(8)))
    assert len(found) == 1
    assert execute(context, "SELECT count(*) AS n FROM manifest_key")[0]["n"] == 1


def test_rotation_leaves_one_private_key_and_all_public_ones(context: Context):
    before = private_key(context)
    made = store.rotate_key(context)
    assert private_key(context) != before
    first, second = store.public_key_set(context)["keys"]
    assert (second["kid"], second["retired_at"]) == (made, None)
    assert first["retired_at"] is not None
    rows = execute(context, "SELECT private_key FROM manifest_key ORDER BY id")
    assert [row["private_key"] is None for row in rows] == [True, False]


def test_rotations_at_once_leave_one_key_that_signs(context: Context):
    private_key(context)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: store.rotate_key(context), range(4)))
    keys = store.public_key_set(context)["keys"]
    assert [key["retired_at"] is None for key in keys] == [False] * (len(keys) - 1) + [True]


def test_rotated_secret_key_opens_the_private_key(context: Context):
    old = context_with(context, secret_key="old")
    before = private_key(old)
    assert rotate_secrets(context_with(context, secret_key="new,old")) == (1, [])
    assert private_key(context_with(context, secret_key="new")) == before


def test_private_key_that_no_secret_key_opens_is_named_and_can_be_replaced(context: Context, runner: FlaskCliRunner):
    before = private_key(context_with(context, secret_key="lost"))
    assert rotate_secrets(context) == (0, ["key of manifests 1"])
    ended = runner.invoke(args=["secrets", "rotate"])
    assert (ended.exit_code, "not readable: key of manifests 1" in ended.stderr) == (1, True)
    assert runner.invoke(args=["secrets", "manifest-key", "rotate"]).exit_code == 0
    assert rotate_secrets(context) == (1, [])
    assert private_key(context) != before


def test_private_key_is_in_no_output_and_no_log(
    context: Context, runner: FlaskCliRunner, caplog: pytest.LogCaptureFixture, api
):
    caplog.set_level(logging.DEBUG)
    secret = private_key(context)
    run_feed(context, add_feed(context))
    shown = [runner.invoke(args=["secrets", "manifest-key", *more]).output for more in ([], ["show"], ["rotate"])]
    shown += [api.get("/api/v2/manifest-keys").get_data(as_text=True), caplog.text, private_key(context)]
    made = shown.pop()
    stored = execute(context, "SELECT private_key FROM manifest_key WHERE private_key IS NOT NULL")[0]["private_key"]
    for text in [*shown, bytes(stored).decode()]:
        assert secret not in text
        assert made not in text
        assert '"d"' not in text


def test_verify_needs_the_printed_keys_and_neither_settings_nor_a_database(
    context: Context, runner: FlaskCliRunner, tmp_path: Path
):
    """The whole way of a receiver, before and after a rotation."""
    feed = add_feed(context)
    run_feed(context, feed)
    keys, folder = tmp_path / "keys.json", context.settings.storage_dir
    keys.write_text(runner.invoke(args=["secrets", "manifest-key"]).output)
    assert keys.read_text() == runner.invoke(args=["secrets", "manifest-key", "show"]).output
    assert (folder / ".contactexport-installation").exists()
    clean = verify("--key", keys, folder)
    assert (clean.returncode, clean.stderr) == (0, "")
    assert clean.stdout.splitlines()[0].startswith("nightly (1): sequences 1 to 1, until 2")
    assert clean.stdout.splitlines()[-1].startswith("ok: 1 files, ")
    rotated = runner.invoke(args=["secrets", "manifest-key", "rotate"]).output
    export = run_feed(context, feed)
    made = store.public_key_set(context)["keys"][1]["kid"]
    assert rotated == f"manifests are signed with the key {made}\n"
    lacking = verify("--key", keys, folder)
    assert lacking.returncode == 1
    (line,) = lacking.stdout.splitlines()
    assert line.startswith(f"{export.file_name}.json: is signed with the key '{made}', which is not in the key file")
    keys.write_text(runner.invoke(args=["secrets", "manifest-key"]).output)
    told = json.loads(verify("--key", keys, folder, "--json", "--sequence", "2").stdout)
    assert (told["ok"], told["faults"], told["files"], told["feeds"][0]["last"]) == (True, [], 2, 2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "--key", "keys.json"], "The folder nowhere cannot be read: No such file or directory"),
        ([".", "--key", "nothing.json"], "The key file nothing.json cannot be read: No such file or directory"),
        ([".", "--key", "other.json"], "The key file other.json has no key: a JWK Set with Ed25519 keys expected"),
    ],
)
def test_wrong_use_of_verify_is_told_in_a_line(tmp_path: Path, arguments: list[str], told: str, context: Context):
    (tmp_path / "keys.json").write_text(json.dumps(store.public_key_set(context)))
    (tmp_path / "other.json").write_text("{}")
    ended = verify(*arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"Error: {told}")
    assert len(ended.stderr.splitlines()) == 1


def test_printed_id_is_that_of_the_key(context: Context):
    made = store.rotate_key(context)
    with context.database.transaction() as conn:
        assert key_id(store.current_key(context, conn).public) == made


def verify(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs `contactexport verify` in an environment in which nothing else of the program works."""
    broken = {
        "CONTACTEXPORT_PORT": "x",
        "CONTACTEXPORT_DATABASE_URL": "nonsense",
        "CONTACTEXPORT_DATA_DIR": "/dev/null",
    }
    return subprocess.run(
        [sys.executable, "-m", "contactexport.cli", "verify", *map(str, arguments)],
        env=os.environ | broken,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
