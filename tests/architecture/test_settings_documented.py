"""The table of settings in docs/operations.md agrees with contactexport.settings."""

import dataclasses
import re
from pathlib import Path

from contactexport.settings import PREFIX, Settings, setting_names

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
ROW = re.compile(rf"^\| `{PREFIX}(?P<name>\w+)` \| (?P<default>[^|]+) \| (?P<meaning>[^|]+) \|$", re.MULTILINE)
UNSET = "–"


def documented() -> dict[str, str]:
    return {row["name"]: row["default"].strip() for row in ROW.finditer(OPERATIONS.read_text(encoding="utf-8"))}


def as_documented(default: str | None) -> str:
    if default is None:
        return UNSET
    return f"`{default}`" if default else "empty"


def test_every_setting_is_documented_once_and_nothing_else():
    rows = [row["name"] for row in ROW.finditer(OPERATIONS.read_text(encoding="utf-8"))]
    assert sorted(rows) == sorted(setting_names())


def test_documented_defaults_are_those_of_the_program():
    defaults = {one.name.upper(): as_documented(one.metadata["default"]) for one in dataclasses.fields(Settings)}
    assert documented() == defaults
