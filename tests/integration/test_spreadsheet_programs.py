"""The spreadsheet profile in LibreOffice: whatever it splits at, it finds no formula."""

import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from contactexport import export_csv

# The sets of separators that can be ticked or typed at an import, by the codes of LibreOffice's filter options.
PRESETS = ("44", "59", "9", "32", "124", "58", "44/59", "9/32", "44/59/9/32/124/58")
QUOTE, NO_QUOTE = "34", ""
STARTS = (
    "",
    "\n",
    "\r",
    "\t",
    " ",
    "\u00a0",
    "\u200b",
    "\ufeff",
    '"',
    ' "',
    "x;",
    "x,",
    "x\t",
    "x ",
    "x|",
    "x:",
    'x;"',
    "x; ",
)
HOSTILE = [f"{start}{sign}" for start in STARTS for sign in ("=1+1", "=1+1;y", "\uff1d1+1", '=HYPERLINK("http://x")')]


def spreadsheet(delimiter: str) -> bytes:
    to = io.BytesIO()
    rows = ((number, cell, "2012-02-09 00:00:00") for number, cell in enumerate(HOSTILE, 1))
    export_csv.write_spreadsheet(["user_id", "=name", "last update"], rows, delimiter, to)
    return to.getvalue()


def formulas(folder: Path, preset: str, text_delimiter: str, files: list[Path]) -> list[str]:
    opened = folder / "opened"
    command = [
        "soffice",
        f"-env:UserInstallation=file://{folder}/profile",
        "--headless",
        f"--infilter=CSV:{preset},{text_delimiter},76,1",
        "--convert-to",
        "fods",
        "--outdir",
        str(opened),
        *map(str, files),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=150)
    texts = [(opened / f"{file.stem}.fods").read_text(encoding="utf-8") for file in files]
    assert all("<table:table-row" in text for text in texts)
    return [found for text in texts for found in re.findall(r'table:formula="([^"]*)"', text)]


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed (libreoffice-calc-nogui)")
@pytest.mark.parametrize(("text_delimiter", "presets"), [(QUOTE, PRESETS), (NO_QUOTE, ("59", PRESETS[-1]))])
def test_libreoffice_finds_no_formula_whatever_it_splits_at(tmp_path: Path, text_delimiter: str, presets):
    files = [tmp_path / "comma.csv", tmp_path / "semicolon.csv"]
    for file, delimiter in zip(files, ",;", strict=True):
        file.write_bytes(spreadsheet(delimiter))
    found = {preset: formulas(tmp_path, preset, text_delimiter, files) for preset in presets}
    assert found == {preset: [] for preset in presets}
    plain = tmp_path / "plain.csv"
    plain.write_text("1,=1+1,x\n")
    assert formulas(tmp_path, "44", QUOTE, [plain]) == ["of:=1+1"]  # one that stays one is found
