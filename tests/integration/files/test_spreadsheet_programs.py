"""LibreOffice finds no formula in a file of hostile values, whatever separators it splits at."""

import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from contactexport.files import csv_format

LIBREOFFICE = shutil.which("soffice")
FORMULA = re.compile(r'table:formula="([^"]*)"')
# Character codes of the separators in its import dialog: comma, semicolon, tab, blank, then all of them and the bar.
SEPARATORS = ("44", "59", "9", "32", "44/59/9/32/124")
BLANKS = ("", " ", "\u00a0", "\u200b", "\ufeff", "\t", "\n", "\r", '"')
HOSTILE = [
    *(f"{blank}{sign}1+1" for blank in BLANKS for sign in ("=", "+", "-", "@", "\uff1d", "\uff0b")),
    *(f"x{separator}{blank}=1+1" for separator in ",;\t| \n" for blank in BLANKS),
    *(f"x{separator}{blank}=1+1{separator}y" for separator in ",;\t| \n" for blank in BLANKS),
    '=HYPERLINK("http://192.0.2.1";"x")',
    "=cmd|' /C calc'!A0",
]

pytestmark = pytest.mark.skipif(LIBREOFFICE is None, reason="LibreOffice (soffice) is not installed")


def formulas(folder: Path, separators: str) -> list[str]:
    """The formulas in all CSV files of a folder, opened with these separators and with formulas enabled."""
    opened_as = f"CSV:{separators},34,UTF-8,1,,0,false,true,false,false,false,-1,true"
    files = sorted(folder.glob("*.csv"))
    subprocess.run(
        [
            str(LIBREOFFICE),
            f"-env:UserInstallation={(folder / 'profile').as_uri()}",
            "--headless",
            f"--infilter={opened_as}",
            "--convert-to",
            "fods",
            "--outdir",
            folder,
            *files,
        ],
        check=True,
        capture_output=True,
        timeout=150,
    )
    return [formula for file in files for formula in FORMULA.findall(file.with_suffix(".fods").read_text("utf-8"))]


@pytest.mark.parametrize("separators", SEPARATORS)
def test_no_hostile_value_becomes_a_formula(tmp_path: Path, separators: str):
    for name, delimiter in {"comma": ",", "semicolon": ";"}.items():
        to = io.BytesIO()
        rows = [[number, value, value, "2026-01-01 00:00:00"] for number, value in enumerate(HOSTILE)]
        csv_format.write_spreadsheet(["user_id", "=n", "b", "last update"], rows, delimiter, to)
        (tmp_path / f"{name}.csv").write_bytes(to.getvalue())
    assert formulas(tmp_path, separators) == []


def test_unescaped_formula_is_found(tmp_path: Path):
    (tmp_path / "one.csv").write_text("1,x;=1+1,y\n")
    assert formulas(tmp_path, "59") != []
