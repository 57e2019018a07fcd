"""docs/manifests.md: its commands, its program and its lists are right."""

import json
import re
import subprocess
import sys
from pathlib import Path

from contactexport.context import Context
from contactexport.manifests.store import public_key_set
from tests.support.exporting import add_contact
from tests.support.feeds import add_feed, run_feed

PAGE = (Path(__file__).parents[3] / "docs" / "manifests.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_program_of_the_page_verifies_a_signature(context: Context, tmp_path: Path):
    """An implementation without this program and without a library for canonical JSON."""
    add_contact(context, first_name="Zoë")
    export = run_feed(context, add_feed(context, "nächtlich", language="de"))
    keys, program = tmp_path / "keys.json", tmp_path / "program.py"
    keys.write_text(json.dumps(public_key_set(context)))
    program.write_text(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1])
    manifest = context.settings.storage_dir / f"{export.file_name}.json"
    command = [sys.executable, "-W", "ignore", str(program), str(manifest), str(keys)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "signed\n"
    manifest.write_text(manifest.read_text().replace('"rows":1', '"rows":2'))
    assert "InvalidSignature" in subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_page_lists_every_member(context: Context):
    export = run_feed(context, add_feed(context))
    members = json.loads(export.manifest or "")
    rows = re.findall(r"^\| (`.*?) \|", section("The members"), re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(members)


def test_output_of_verify_is_that_of_the_page(context: Context):
    feed = add_feed(context)
    for _ in range(2):
        run_feed(context, feed)
    keys = context.settings.storage_dir / "keys.json"
    keys.write_text(json.dumps(public_key_set(context)))
    shell, shown = re.findall(r"```\w+\n(.*?)```", section("Verify a folder"), re.DOTALL)
    command = shell.splitlines()[1].replace("var/exports", str(keys.parent)).replace("keys.json", str(keys)).split()
    assert command[:2] == ["contactexport", "verify"]
    told = subprocess.run(
        [sys.executable, "-m", "contactexport.cli", *command[1:]], capture_output=True, text=True, check=True
    ).stdout
    for line, expected in zip(told.splitlines(), shown.splitlines(), strict=True):
        pattern = re.escape(expected).replace("5c1e7f…", "[0-9a-f]{64}").replace("1234", r"\d+")
        assert re.fullmatch(re.sub(r"2026\\-.*?Z", r"20[0-9T:.-]+Z", pattern), line), line
