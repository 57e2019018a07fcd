"""The plan by which a table of customers becomes contacts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# Is called with the step that begins.
OnStep = Callable[[str], None]


@dataclass(frozen=True)
class Join:
    """A further table of the contacts' SELECT, joined by LEFT JOIN. `table` is as written, with an alias if any.

    >>> Join("profile", "profile.user_id = auth_user.id")
    Join(table='profile', condition='profile.user_id = auth_user.id')
    """

    table: str
    condition: str


@dataclass(frozen=True)
class OriginRule:
    """Where contacts belong to.

    Either `expression` gives the id of the one origin of a contact, of this kind (NULL: api 0). Or `through` is a table
    of memberships, with the column of the contact's key and that of the origin's id. Neither: all belong to api 0.
    `names` is a table of origins, with the columns of their id and name.

    >>> OriginRule("form", through=("subscriber_lists", "subscriber_id", "list_id"), names=("lists", "id", "name"))
    """

    kind: str = "form"
    expression: str | None = None
    through: tuple[str, str, str] | None = None
    names: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class FieldMapping:
    """A field of the catalogue and the expression over the tables that gives its value.

    `values` maps stored values to choices (`m=1`). `names` maps language codes to names, `choices` choice ids to their
    labels by language. `column` is the name in the view `contact`.
    """

    id: int
    name: str
    application_type: str
    column: str
    expression: str
    values: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    exportable: bool = True


@dataclass(frozen=True)
class FieldWish:
    """What `--field 5=sex:m=1,f=2` says. `name` is the id of a field, or a name of a system field."""

    name: str
    expression: str
    values: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """All that `flask contacts adopt` is told or proposes. It can be written to a TOML file and read back.

    `table` is the table of the contacts, with its schema unless the search path finds it. `key` is its unique column.
    With `view` the SELECT is the user's own text: it gives `id`, and `origin_kind` with `origin_id` unless `origin` has
    a rule, and the columns that `fields` name (their `expression` is then the column of the SELECT). `table` is then
    empty and `key` is `id`.

    Tables and expressions are SQL, quoted where needed. Names of columns (`key`, those of `origin.through` and
    `origin.names`, `FieldMapping.column`) are plain. Once a plan is checked, every table has its schema.
    """

    table: str
    key: str
    fields: tuple[FieldMapping, ...]
    origin: OriginRule = OriginRule()
    joins: tuple[Join, ...] = ()
    where: str | None = None
    view: str | None = None
