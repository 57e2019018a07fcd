"""The tables that the views of an adopted table depend on, and what has to be known of each to log its changes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from sqlglot import exp

from contactexport.adopt.atoms import Atoms, of_row, output_of
from contactexport.adopt.from_clause import columns_in, conjuncts, group_by_all_columns, joins, replace_using, sources
from contactexport.adopt.lineage import Lineage, Occurrence, Path
from contactexport.adopt.view_text import TableName, drop_unused_outputs, expanded_select_of
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import UsageError

OF_CONTACTS = ("id", "origin_kind", "origin_id")
OF_MEMBERSHIPS = ("contact_id", "origin_kind", "origin_id")
GROUPING = ("group", "having", "distinct", "limit", "offset")


@dataclass(frozen=True)
class OwnPair:
    """Expressions over one table's row that tell a contact and its origin. `holds` are the conditions on that row."""

    id: exp.Expr
    kind: exp.Expr
    origin: exp.Expr
    holds: tuple[exp.Expr, ...]
    alone: bool  # no other table has a say in it


@dataclass(frozen=True)
class WatchedTable:
    """A table of which rows or columns have a part in contacts. `key` is its primary key, if it has one.

    Equal values of `plain_columns` are written in the same way, unlike 1.0 and 1.00.
    `paths` lead from its rows to contacts, `deciding_paths` where they decide whether there is a contact.
    """

    table: TableName
    columns: tuple[str, ...]
    plain_columns: frozenset[str]
    key: tuple[str, ...]
    atoms: tuple[exp.Expr, ...]
    deciding_atoms: tuple[exp.Expr, ...]
    paths: tuple[Path, ...]
    deciding_paths: tuple[Path, ...]
    has_keys: bool
    own: OwnPair | None
    once: bool

    @property
    def is_fast(self) -> bool:
        """True for the contacts' own table if nothing of other tables has to be looked at."""
        return self.own is not None and self.own.alone and self.once and self.has_keys


class Views:
    """The SELECTs of `contact` and, if memberships are in a table, of `contact_origin`, without nested views."""

    def __init__(self, conn: Connection, schema: str, *, memberships: bool) -> None:
        self.schema = schema
        names = [TableName(schema, "contact")] + ([TableName(schema, "contact_origin")] if memberships else [])
        rows = [row for one in names for row in queries("adopt").base_columns(conn, schema=one.schema, name=one.name)]
        self._watched: dict[TableName, list[str]] = {}
        self._all: dict[TableName, list[str]] = {}
        self._keys: dict[TableName, list[str]] = {}
        self._plain: dict[TableName, frozenset[str]] = {}
        for row in rows:
            table = TableName(row["schema_name"], row["table_name"])
            found = self._watched.setdefault(table, [])
            found += [column for column in row["columns"] if column not in found]
            self._all[table], self._keys[table] = row["all_columns"], row["key_columns"]
            self._plain[table] = frozenset(row["plain_columns"])
        trees = [expanded_select_of(conn, one) for one in names]
        for tree in trees:
            replace_using(tree, self._all)
            group_by_all_columns(tree)
        for tree in trees[1:]:
            drop_unused_outputs(tree)
        self.contacts = Lineage(trees[0], "id")
        self.memberships = Lineage(trees[1], "contact_id") if memberships else None
        for lineage in filter(None, (self.contacts, self.memberships)):
            for table, name in lineage.named_columns():
                if name not in [*self._all.get(table, [name]), "*"]:
                    raise UsageError(f"{table}.{name} is a system column, whose changes are not seen")
                if name == "*" and table in self._all:
                    self._watched[table] = self._all[table]

    @property
    def columns(self) -> Mapping[TableName, list[str]]:
        """All columns of each table."""
        return self._all

    @cached_property
    def is_flat(self) -> bool:
        """True unless a SELECT groups rows, which Postgres then would do for all contacts to find one."""
        lineages = [self.contacts] + ([self.memberships] if self.memberships else [])
        queries_of = [one for lineage in lineages for one in lineage.tree.find_all(exp.Query)]
        grouped = any(one.args.get(part) for one in queries_of for part in GROUPING)
        return not grouped and not any(one.args.get("distinct") for one in queries_of if isinstance(one, exp.Union))

    def tables(self) -> list[WatchedTable]:
        """All tables with rows, by name. Raises UsageError for one whose rows lead to no contact."""
        return [self._watch(table) for table in sorted(self._watched)]

    def _watch(self, table: TableName) -> WatchedTable:
        atoms: list[exp.Expr] = []
        deciding_atoms: list[exp.Expr] = []
        deciding_paths: list[Path] = []
        of_contacts = [one for one in self.contacts.occurrences if one.table == table]
        for occurrence in of_contacts:
            decide = list(self._contact_atoms.of(occurrence, deciding=True))
            atoms += [*decide, *self._contact_atoms.of(occurrence, deciding=False)]
            deciding_atoms += decide
            if decide or self._contact_atoms.decides(occurrence.node):
                deciding_paths.append(self.contacts.path(occurrence))
        of_memberships = [one for one in self._membership_occurrences if one.table == table]
        for occurrence in of_memberships:
            lineage, its_atoms = self._membership_parts
            deciding_atoms += its_atoms.of(occurrence, deciding=True)
            deciding_paths.append(lineage.path(occurrence))
        named = {column.name for one in [*atoms, *deciding_atoms] for column in columns_in(one)}
        forgotten = [exp.column(name, quoted=True) for name in self._watched[table] if name not in named]
        atoms += forgotten if of_contacts and "*" not in named else []
        return WatchedTable(
            table,
            tuple(self._watched[table]),
            self._plain[table],
            tuple(self._keys[table]),
            _distinct(atoms),
            _distinct(deciding_atoms),
            tuple(self.contacts.path(one) for one in of_contacts),
            tuple(deciding_paths),
            has_keys=any(found.table == table for found, _ in self.contacts.targets),
            own=next(iter(self._own(of_contacts, of_memberships)), None),
            once=len(of_contacts) + len(of_memberships) == 1,
        )

    @cached_property
    def _contact_atoms(self) -> Atoms:
        return Atoms(self.contacts, frozenset(OF_CONTACTS))

    @cached_property
    def _membership_parts(self) -> tuple[Lineage, Atoms]:
        lineage = self.memberships or self.contacts
        return lineage, Atoms(lineage, frozenset(OF_MEMBERSHIPS))

    @property
    def _membership_occurrences(self) -> list[Occurrence]:
        return self.memberships.occurrences if self.memberships else []

    @cached_property
    def origin_is_known(self) -> bool:
        """True if the rows of one table tell a contact's key with its origin."""
        every = [*self.contacts.occurrences, *self._membership_occurrences]
        return any(True for one in every for _ in self._own([one], [one]))

    def _own(self, of_contacts: list[Occurrence], of_memberships: list[Occurrence]) -> Iterator[OwnPair]:
        lineage, names, occurrences = self.contacts, OF_CONTACTS, of_contacts
        if self.memberships is not None:
            lineage, names, occurrences = self.memberships, OF_MEMBERSHIPS, of_memberships
        for branch in _branches(lineage.tree):
            for occurrence in occurrences:
                if occurrence in lineage.occurrences and occurrence.node.find_ancestor(exp.Select) is branch:
                    yield from self._own_of(lineage, branch, names, occurrence)

    def _own_of(
        self, lineage: Lineage, branch: exp.Select, names: tuple[str, str, str], occurrence: Occurrence
    ) -> Iterator[OwnPair]:
        path = lineage.path(occurrence)
        kind, origin = (output_of(branch, name, occurrence) for name in names[1:])
        if path.edges or kind is None or origin is None:
            return
        conditions = [branch.args["where"].this] if branch.args.get("where") else []
        conditions += [one.args["on"] for one in joins(branch) if one.side != "LEFT" and one.args.get("on")]
        single = [one for condition in conditions for one in conjuncts(condition)]
        plain = [one for one in single if one.find(exp.Subquery, exp.Exists, exp.Select) is None]
        holds = [one for one in plain if all(lineage.occurrence(each) is occurrence for each in columns_in(one))]
        others: list[exp.Expr] = [one.node for one in lineage.occurrences if one is not occurrence]
        others += [one for one in sources(branch).values() if one is not occurrence.node]
        constant = not columns_in(kind) and not columns_in(origin)
        if constant and lineage.only_occurrence(path.key) not in [found for found, _ in lineage.targets]:
            return
        alone = len(holds) == len(single) and not any(self._contact_atoms.decides(one) for one in others)
        grouped = any(branch.args.get(part) for part in GROUPING) or branch is not lineage.tree
        holds.append(path.key.copy().is_(exp.null()).not_())
        yield OwnPair(path.key, kind, origin, tuple(holds), alone and not grouped and lineage is self.contacts)


def conjunction(conditions: tuple[exp.Expr, ...], row: str) -> str:
    """All conditions on a row, joined by AND."""
    return " AND ".join(f"({of_row(one, row)})" for one in conditions) or "true"


def _branches(tree: exp.Expr) -> Iterator[exp.Select]:
    if isinstance(tree, exp.SetOperation):
        yield from _branches(tree.this)
        yield from _branches(tree.expression)
    elif isinstance(tree, exp.Subquery):
        yield from _branches(tree.this)
    elif isinstance(tree, exp.Select):
        yield tree


def _distinct(atoms: list[exp.Expr]) -> tuple[exp.Expr, ...]:
    return tuple({of_row(one, "r"): one for one in atoms}.values())
