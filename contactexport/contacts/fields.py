"""The fields of contacts: added, renamed and removed without SQL. The program's own table gets a column for each."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from psycopg2 import sql

from contactexport.catalogue import Catalogue, ContactField
from contactexport.contacts.origins import require_name
from contactexport.db.connection import Connection
from contactexport.db.queries import queries, template
from contactexport.errors import UsageError
from contactexport.languages import LANGUAGES
from contactexport.system_fields import FIRST_CUSTOM_ID, SystemField, readable, system_fields

LONGEST_NAME = 63
COLUMN_TYPES = {
    "numeric": "numeric",
    "date": "date",
    "birthdate": "date",
    "singlechoice": "integer",
    "multichoice": "integer[]",
    "interests": "integer[]",
}


@dataclass(frozen=True)
class NewField:
    """A field to add. `choices` maps ids to labels by language."""

    id: int
    name: str
    application_type: str = "shorttext"
    column_name: str = ""
    exportable: bool = True
    names: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of_system(cls, one: SystemField) -> "NewField":
        """As the original has it."""
        return cls(one.id, one.name, one.application_type, one.column_name, one.exportable, one.names, one.choices)


def add(conn: Connection, new: NewField) -> ContactField:
    """Adds a field, and its column if `contact` is the program's own table and lacks it.

    Without `column_name` a custom field gets one by its name. Raises UsageError if the id or the column is taken, or if
    `contact` is a view that lacks the column.
    """
    edit = queries("catalogue_edit")
    catalogue = Catalogue.read(conn)
    if (found := catalogue.fields.get(new.id)) is not None:
        raise UsageError(f'There is a field {new.id} already: "{found.name}", column {found.column_name}')
    require_name(new.name)
    is_view = edit.is_adopted(conn)
    if is_view is None:
        raise UsageError("The table `contact` does not exist: run `flask db upgrade`")
    columns = {row["name"] for row in edit.contact_columns(conn)}
    of_others = {one.column_name: one for one in catalogue.fields.values()}
    column = new.column_name or free_column(new, columns)
    if column in {"id", "origin_kind", "origin_id"} or column in of_others:
        whose = (
            f'stands for the field {of_others[column].id} "{of_others[column].name}"'
            if column in of_others
            else "is fixed"
        )
        raise UsageError(f"The column {column} {whose}: name another column")
    if len(column.encode()) > LONGEST_NAME:
        raise UsageError(f"The column {column} has a name of more than {LONGEST_NAME} bytes")
    if column not in columns and is_view:
        raise UsageError(f"The view `contact` has no column {column}: `flask contacts adopt` with --field adds one")
    if column not in columns:
        of_type = sql.SQL(COLUMN_TYPES.get(new.application_type, "text"))
        with conn.cursor() as cursor:
            cursor.execute(template("catalogue_edit", "add_column").format(column=sql.Identifier(column), type=of_type))
    names = dict(new.names) or {"en": new.name}
    made = ContactField(new.id, new.name, new.application_type, column, new.exportable, names)
    edit.add_field(conn, **asdict(made) | {"names": json.dumps(names, ensure_ascii=False)})
    for choice, labels in new.choices.items():
        edit.add_choice(conn, field_id=new.id, id=choice, labels=json.dumps(dict(labels), ensure_ascii=False))
    return made


def rename(conn: Connection, field_id: int, name: str, language: str) -> None:
    """Gives a field another name in a language. Raises UsageError for an unknown language or an empty name."""
    if language not in LANGUAGES:
        raise UsageError(f"Unknown language: {language}. Known are {', '.join(sorted(LANGUAGES))}")
    require_name(name)
    queries("catalogue_edit").rename_field(conn, id=field_id, name=name.strip(), language=language)


def remove(conn: Connection, field_id: int) -> None:
    """Takes a field out of the catalogue. Its column and its values stay."""
    queries("catalogue_edit").remove_field(conn, id=field_id)


def free_id(catalogue: Catalogue) -> int:
    """The first id for a custom field that no field has."""
    return next(number for number in range(FIRST_CUSTOM_ID, 2**31) if number not in catalogue.fields)


def custom(catalogue: Catalogue, name: str) -> NewField:
    """A custom field of text by this name: `shoe_size` is "Shoe size"."""
    return NewField(free_id(catalogue), readable(name) if re.fullmatch(r"\w+", name) else name.strip())


def free_column(new: NewField, columns: set[str]) -> str:
    """The column of a custom field, by its name.

    The columns of system fields are not for others, even if the field is not in use.
    """
    by_name = re.sub(r"\W+", "_", new.name.lower()).strip("_")
    reserved = columns | {one.column_name for one in system_fields().values()}
    return (
        by_name if by_name and by_name not in reserved and len(by_name.encode()) <= LONGEST_NAME else f"field_{new.id}"
    )
