"""Plans as files: TOML that is written with comments to be edited, and read back with errors that name the key."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from contactexport.adopt.models import FieldMapping, Join, OriginRule, Plan
from contactexport.errors import UsageError
from contactexport.languages import LANGUAGES
from contactexport.system_fields import APPLICATION_TYPES, system_fields

LARGEST_ID = 2**31 - 1
HEADER = """\
The plan by which a table of customers becomes contacts. `flask contacts adopt --plan FILE` does what it says.
Each of `fields` is a field of the catalogue: its id, its column in the view `contact`, and the SQL expression that
gives its value. `values` maps stored values to choices. `names` and `choices` have texts by language (en, de, …).
"""


@dataclass(frozen=True)
class Kind:
    """What a value of a plan must be."""

    expected: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True)
class MapOf:
    """A table with keys of one kind and values of one shape."""

    key: Kind
    value: Any


@dataclass(frozen=True)
class Record:
    """A table with keys that are known, some of them required."""

    keys: Mapping[str, Any]
    required: tuple[str, ...] = ()


TEXT = Kind("a text", lambda value: isinstance(value, str) and value.strip() != "" and "\0" not in value)
ID = Kind(
    "a whole number from 0 on",
    lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_ID,
)
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
THREE_TEXTS = Kind(
    "[table, column, column]",
    lambda value: isinstance(value, (list, tuple)) and len(value) == 3 and all(map(TEXT.fits, value)),
)
LIST = Kind("a list of tables", lambda value: isinstance(value, list))
TABLE = Kind("a table", lambda value: isinstance(value, dict))
ORIGIN_KIND = Kind("form or api", lambda value: value in ("form", "api"))
TYPE = Kind(f"one of {', '.join(APPLICATION_TYPES)}", lambda value: value in APPLICATION_TYPES)
LANGUAGE = Kind("the code of a language such as en", lambda value: value in LANGUAGES)
CHOICE_ID = Kind("the id of a choice", lambda value: str(value).isascii() and str(value).isdigit())
FIELD = Record(
    {
        "id": ID,
        "name": TEXT,
        "application_type": TYPE,
        "column": TEXT,
        "expression": TEXT,
        "values": MapOf(TEXT, ID),
        "names": MapOf(LANGUAGE, TEXT),
        "choices": MapOf(CHOICE_ID, MapOf(LANGUAGE, TEXT)),
        "exportable": FLAG,
    },
    required=("id", "expression", "name", "application_type", "column"),
)
PLAN = Record(
    {
        "table": TEXT,
        "key": TEXT,
        "where": TEXT,
        "view": TEXT,
        "origin": Record({"kind": ORIGIN_KIND, "expression": TEXT, "through": THREE_TEXTS, "names": THREE_TEXTS}),
        "joins": [Record({"table": TEXT, "condition": TEXT}, required=("table", "condition"))],
        "fields": [FIELD],
    }
)


def to_values(plan: Plan) -> dict[str, Any]:
    """The plan as JSON or TOML has it. What is empty is left out."""
    values: dict[str, Any] = _without_empty(asdict(plan))
    return values


def from_values(values: Mapping[str, Any], source: str) -> Plan:
    """The plan. Of a system field what is missing is as in the original.

    Raises UsageError that names `source` and the key that is missing, wrong or not known.
    """
    given = _without_empty(values)
    if isinstance(given.get("fields"), list):
        given["fields"] = [
            system_values(one.get("id")) | one if isinstance(one, dict) else one for one in given["fields"]
        ]
    _require_shape(given, PLAN, source, "")
    if bool(given.get("table")) == bool(given.get("view")):
        raise UsageError(f"{source}: either table or view expected, {'both' if 'view' in given else 'none'} found")
    if not given.get("fields"):
        raise UsageError(f"{source}: no field found, one [[fields]] at least expected")
    origin: dict[str, Any] = {
        key: tuple(one) if isinstance(one, list) else one for key, one in given.get("origin", {}).items()
    }
    for one in given["fields"]:
        one["choices"] = {int(key): labels for key, labels in one.get("choices", {}).items()}
    return Plan(
        table=given.get("table", ""),
        key=given.get("key", ""),
        fields=tuple(FieldMapping(**one) for one in given["fields"]),
        origin=OriginRule(**origin),
        joins=tuple(Join(**one) for one in given.get("joins", ())),
        where=given.get("where"),
        view=given["view"].strip() if "view" in given else None,
    )


def system_values(field_id: Any) -> dict[str, Any]:
    """What a system field is unless a plan says otherwise. Empty for another field."""
    found = system_fields().get(field_id) if isinstance(field_id, int) else None
    if found is None:
        return {}
    values = asdict(found) | {
        "column": found.column_name,
        "choices": {str(key): one for key, one in found.choices.items()},
    }
    return {key: value for key, value in values.items() if key in FIELD.keys and value != {}}


def to_toml(plan: Plan) -> str:
    """The text of a plan's file, with comments. Names and choices of system fields are left out."""
    document = tomlkit.document()
    for line in HEADER.splitlines():
        document.add(tomlkit.comment(line))
    values = to_values(plan)
    for key in (key for key in PLAN.keys if key in values):
        value = values[key]
        if key == "view":
            document.add(key, tomlkit.string(f"{value}\n", literal="'''" not in value, multiline=True))
        else:
            document.add(key, _tables(value) if isinstance(value, list) else tomlkit.item(value))
    return tomlkit.dumps(document)


def read(path: Path) -> Plan:
    """The plan of a file. Raises UsageError that names the file and the key."""
    try:
        return from_values(tomlkit.parse(path.read_text(encoding="utf-8")).unwrap(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except TOMLKitError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None


def write(plan: Plan, path: Path) -> None:
    """Writes a plan's file. Raises UsageError if there is one, because it may have been edited."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(to_toml(plan))
    except FileExistsError:
        raise UsageError(f"{path} exists already: remove it, or name another file for --write-plan") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _require_shape(value: Any, shape: Any, source: str, path: str) -> None:
    """Raises UsageError that names the key at which the value is not of this shape."""
    kind = shape if isinstance(shape, Kind) else LIST if isinstance(shape, list) else TABLE
    if not kind.fits(value):
        raise UsageError(f"{source}: {path}: {kind.expected} expected, {value!r} found")
    if isinstance(shape, list):
        for number, one in enumerate(value, start=1):
            _require_shape(one, shape[0], source, f"{path}[{number}]")
    elif isinstance(shape, MapOf):
        for key, one in value.items():
            _require_shape(key, shape.key, source, f"{path}.{key}")
            _require_shape(one, shape.value, source, f"{path}.{key}")
    elif isinstance(shape, Record):
        _require_keys(value, shape, source, f"{path}." if path else "")


def _require_keys(values: dict[str, Any], shape: Record, source: str, inside: str) -> None:
    for key, value in values.items():
        if key not in shape.keys:
            raise UsageError(f"{source}: {inside}{key} is not known: {', '.join(shape.keys)} expected")
        _require_shape(value, shape.keys[key], source, f"{inside}{key}")
    if missing := [key for key in shape.required if key not in values]:
        raise UsageError(f"{source}: {inside}{missing[0]} is missing")


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {str(key): _without_empty(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one is not None and one not in ("", {}, [])}
    return [_without_empty(one) for one in value] if isinstance(value, (list, tuple)) else value


def _tables(records: list[dict[str, Any]]) -> Any:
    """Their inner tables stand in one line each."""
    tables = tomlkit.aot()
    for record in records:
        usual, table = {"exportable": True} | system_values(record.get("id")), tomlkit.table()
        for key, value in record.items():
            if key not in ("names", "choices", "exportable") or value != usual.get(key):
                table.add(key, _in_one_line(value) if isinstance(value, dict) else value)
        tables.append(table)
    return tables


def _in_one_line(values: Mapping[str, Any]) -> Any:
    made = tomlkit.inline_table()
    for key, value in values.items():
        made.append(key, _in_one_line(value) if isinstance(value, dict) else value)
    return made
