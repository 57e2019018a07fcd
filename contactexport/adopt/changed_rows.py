"""The statement by which a trigger logs what has changed, for every table but a contacts' own one that is simple."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from psycopg2 import sql
from sqlglot import exp

from contactexport.adopt.atoms import of_row
from contactexport.adopt.from_clause import columns_in
from contactexport.adopt.lineage import Path
from contactexport.adopt.possible import COME, GONE, Possible, possible_pairs
from contactexport.adopt.view_text import TableName, parsed, sql_of
from contactexport.adopt.watched import Views, WatchedTable, conjunction
from contactexport.db.queries import template

NEW, OLD = "contactexport_new", "contactexport_old"

_NOTHING = sql.SQL("")
ANY = "'any'::text"
# The key of a contact in the log, from what a path ends with.
KeyOf = Callable[[Path, str], sql.Composable]


def part(name: str, /, **values: sql.Composable) -> sql.Composed:
    """A template of the trigger functions with its parts."""
    return template("adopt_capture", name).format(**values)


def pairs_now(schema: str, *, memberships: bool) -> sql.Composed:
    """The query of contacts with their origins, as the views have them when it is run."""
    contacts, members = sql.Identifier(schema, "contact"), sql.Identifier(schema, "contact_origin")
    name = "pairs_of_memberships" if memberships else "pairs_of_contacts"
    return part(name, contacts=contacts, memberships=members)


class ChangedRows:
    """The statement that logs what one event of a table has changed."""

    def __init__(
        self, views: Views, table: WatchedTable, event: str, schema: sql.Identifier, key_type: sql.SQL, key_of: KeyOf
    ) -> None:
        self._views = views
        self._table = table
        self._event = event
        self._common: dict[str, sql.Composable] = {"schema": schema, "key_type": key_type}
        self._pairs_now = pairs_now(views.schema, memberships=views.memberships is not None)
        self._key_of = key_of
        self._links: list[str] = []  # expressions over a row that lead on to keys, or tell an origin
        self._touched = self._keys(table.paths, "gone") + self._keys(table.paths, "come")
        deciding = table.deciding_paths
        self._decided = self._keys(deciding, GONE) + self._keys(deciding, COME)
        self._leading = len(self._links)  # of which none tells an origin only
        self._possible = [one for pair in possible_pairs(views, table) for one in self._pairs(pair)] if deciding else []

    def statement(
        self, *, one_by_one: bool, many: sql.SQL, stale: sql.SQL, into: sql.Composable = _NOTHING
    ) -> sql.Composed:
        gone, come = self._states
        values = {**self._common, "gone": gone, "come": come, "stale": stale, "many": many, "into": into}
        values["touched"] = self._union(self._touched)
        if not self._table.deciding_paths:
            present = self._found("touched", self._pairs_now, one_by_one=not self._views.is_flat)
            return part("log_values", **values, present=present)
        now = self._found("asked", self._pairs_now, one_by_one=not self._views.is_flat)
        other = self._found("decided", self._other_pairs, one_by_one=one_by_one or not self._views.is_flat)
        values["present"], values["before"] = (
            (now, other)
            if self._event != "truncated"
            else (
                self._found("asked", self._other_pairs, one_by_one=not self._views.is_flat),
                now,
            )
        )
        return part(
            "log_deciding",
            **values,
            decided=self._union(self._decided),
            decided_gone=self._decided_rows("gone", "come"),
            decided_come=self._decided_rows("come", "gone"),
            own=part("own_pairs" if self._table.own else "no_own_pairs", **values),
            possible=sql.SQL(" UNION ALL ").join(self._possible),
            key_exists_p=self._key_exists("p.id"),
            unsure=sql.SQL("false") if self._table.has_keys else self._key_exists("d.key"),
            origin_unknown=sql.SQL("false" if self._views.origin_is_known else "true"),
        )

    def possible(self) -> sql.Composed:
        """The statement that logs all contacts whom the rows may concern, where the exact one fails."""
        paths = dict.fromkeys((*self._table.paths, *self._table.deciding_paths))
        keys = self._union(self._keys(tuple(paths), "gone") + self._keys(tuple(paths), "come"))
        leading = self._links[: self._leading]
        carried = sql.SQL(", ".join(f"{text} AS l{number}" for number, text in enumerate(leading)))
        states = {}
        for name, rows, events in (("gone", OLD, ("updated", "deleted")), ("come", NEW, ("inserted", "updated"))):
            found, condition = (
                (sql.SQL(rows), "true") if self._event in events else (self._table.table.identifier, "false")
            )
            if self._event == "truncated" and name == "gone":
                condition = "r.tableoid = TG_RELID"
            states[name] = part("rows_that_changed", carried=carried, rows=found, condition=sql.SQL(condition))
        decides = sql.SQL("true" if self._table.deciding_paths else "false")
        first = part("locks_first", **self._common)
        return part("log_possible", **self._common, **states, first=first, keys=keys, decides=decides)

    @property
    def _states(self) -> tuple[sql.Composable, sql.Composable]:
        """Rows that are no more as they were, and rows that were not as they are now."""
        # The columns by which rows are known in the statement: what leads to keys, and what tells contacts.
        carried = [f"{text} AS l{number}" for number, text in enumerate(self._links)]
        if (own := self._table.own) is not None:
            texts = {"id": of_row(own.id, "r"), "kind": of_row(own.kind, "r"), "origin": of_row(own.origin, "r")}
            texts["holds"] = conjunction(own.holds, "r")
            carried += [f"{text} AS own_{name}" for name, text in texts.items()]
        state = {
            name: part(
                template_name,
                carried=sql.SQL(", ".join(carried)),
                all_atoms=sql.SQL(", ".join(of_row(one, "r") for one in self._table.atoms)),
                deciding_atoms=sql.SQL(", ".join(of_row(one, "r") for one in self._table.deciding_atoms)),
                rows=rows,
            )
            for name, template_name, rows in (
                ("old", "row_state", sql.SQL(OLD)),
                ("new", "row_state", sql.SQL(NEW)),
                ("none", "no_row_state", self._table.table.identifier),
                ("truncated", "truncated_row_state", self._table.table.identifier),
            )
        }
        if self._event == "updated":
            return _except(state["old"], state["new"]), _except(state["new"], state["old"])
        gone = {"deleted": "old", "truncated": "truncated"}.get(self._event, "none")
        return state[gone], state["new" if self._event == "inserted" else "none"]

    def _decided_rows(self, some: str, others: str) -> sql.Composed:
        names = [f"l{number}" for number in range(len(self._links))]
        names += ["own_id", "own_kind", "own_origin", "own_holds"] if self._table.own else []
        columns = sql.SQL(", ".join([*names, "decides"]))
        rows = [part("rows_of", columns=columns, rows=sql.Identifier(one)) for one in (some, others)]
        return _except(*rows) if self._event == "updated" else rows[0]

    def _keys(self, paths: Sequence[Path], rows: str) -> list[sql.Composed]:
        keys = []
        for path in paths:
            joins, key = self._way(path)
            keys.append(part("keys_of_rows", key=key, changed=sql.Identifier(rows), joins=joins))
        return keys

    def _way(self, path: Path) -> tuple[sql.Composed, sql.Composable]:
        joins, key = way_to_key(path, self._link(path.edges[0].start_side if path.edges else path.key))
        return joins, self._key_of(path, key)

    def _link(self, expression: exp.Expr) -> str:
        text = of_row(expression, "r")
        if text not in self._links:
            self._links.append(text)
        return f"r.l{self._links.index(text)}"

    def _pairs(self, possible: Possible) -> Iterator[sql.Composed]:
        """The pairs that rows of the event may make or end."""
        joins, key = self._way(possible.path)
        kind, origin, holds = ANY, "0", "true"
        if possible.kind is not None and possible.origin is not None:
            kind, origin = self._link(possible.kind), self._link(possible.origin)
        if (
            possible.alone
            and (own := self._table.own) is not None
            and of_row(own.id, "r") == of_row(possible.path.key, "r")
        ):
            holds = "r.own_holds"
        needs = "nothing" if possible.alone else "key" if kind != ANY or possible.always else "absence"
        for rows in (GONE, COME):
            if self._event not in ({"inserted"} if rows == GONE else {"deleted", "truncated"}):
                yield part(
                    "possible_pairs",
                    key=key,
                    kind=sql.SQL(kind),
                    origin=sql.SQL(origin),
                    makes=sql.Literal(rows in possible.makes),
                    needs=sql.Literal(needs),
                    changed=sql.Identifier(rows),
                    joins=joins,
                    holds=sql.SQL(holds),
                )

    def _union(self, keys: list[sql.Composed]) -> sql.Composed:
        return sql.SQL(" UNION ALL ").join(keys or [part("no_keys", **self._common)])

    def _found(self, asked: str, pairs: sql.Composed, *, one_by_one: bool) -> sql.Composed:
        name = "present_pairs_one_by_one" if one_by_one else "present_pairs"
        return part(name, **self._common, asked=sql.Identifier(asked), pairs=pairs)

    @cached_property
    def _other_pairs(self) -> sql.Composed:
        """Contacts and their origins as they were before, or will be after TRUNCATE."""
        queries = []
        for lineage in filter(None, (self._views.contacts, self._views.memberships)):
            tree = lineage.tree.copy()
            tables = [one for one in tree.find_all(exp.Table) if one.name]
            for node in [one for one in tables if TableName.of(one) == self._table.table]:
                alias = node.args.get("alias") or exp.TableAlias(this=node.this.copy())
                made = exp.Subquery(this=self._former_table.copy(), alias=alias.copy(), joins=node.args.get("joins"))
                node.replace(made)
            queries.append(sql.SQL("({})").format(sql.SQL(sql_of(tree))))
        if len(queries) == 1:
            return part("pairs_of_contacts", contacts=queries[0])
        return part("pairs_of_memberships", contacts=queries[0], memberships=queries[1])

    @cached_property
    def _former_table(self) -> exp.Expr:
        """The table as it was before the statement, or as it will be after TRUNCATE."""
        named = {one.name for atom in (*self._table.atoms, *self._table.deciding_atoms) for one in columns_in(atom)}
        # In the order of the table, so that whole rows are as they were.
        names = [one for one in self._views.columns[self._table.table] if one in named.union(self._table.columns)]
        values: dict[str, sql.Composable] = {"table": sql.SQL(sql_of(self._table.table.node))}
        for row in ("t", "n", "o"):
            columns = [f"{row}.{quoted(one)}" for one in names]
            values[f"columns_{row}"] = sql.SQL(", ".join(columns))
        plain = [f"t.{quoted(one)}" for one in names if one in self._table.plain_columns]
        values["group_t"] = sql.SQL(", ".join([*plain, f"ROW({values['columns_t'].string})::text"]))
        same = [f"n.{quoted(one)} = t.{quoted(one)}" for one in self._table.key]
        values["same_row"] = sql.SQL(" AND ".join(same))
        name = {"inserted": "table_before_insert", "deleted": "table_before_delete", "truncated": "table_truncated"}
        chosen = name.get(self._event, "table_before")
        if not self._table.key and self._event in {"inserted", "updated"}:
            chosen += "_without_key"
            values["rows_without_new"] = part("rows_without_new", **values)
        return parsed("".join(_texts(part(chosen, **values))), f"The former state of {self._table.table}")

    def _key_exists(self, key: str) -> sql.Composable:
        """Whether the table of keys has one. Who adds it at the same time logs the contact with all that it sees."""
        targets = self._views.contacts.targets
        if len(targets) != 1:
            return sql.SQL("true")
        found, column = targets[0]
        texts = {"column": sql.SQL(of_row(column, "c")), "key": sql.SQL(key)}
        return part("key_exists", table=found.table.identifier, **texts)


def way_to_key(path: Path, here: str) -> tuple[sql.Composed, str]:
    """The joins from rows to their key, and its expression. `here` is what a row has for the first step."""
    joins: list[sql.Composable] = []
    for number, edge in enumerate(path.edges):
        alias = f"h{number}"
        condition = sql.SQL(f"({here}) = ({of_row(edge.end_side, alias)})")
        table = edge.end.table.identifier
        joins.append(part("join_on_the_way", table=table, alias=sql.SQL(alias), condition=condition))
        following = path.edges[number + 1].start_side if number + 1 < len(path.edges) else path.key
        here = of_row(following, alias)
    return sql.SQL(" ").join(joins), here


def quoted(name: str) -> str:
    """A name for a statement."""
    return sql_of(exp.to_identifier(name, quoted=True))


def _except(some: sql.Composable, others: sql.Composable) -> sql.Composed:
    return part("except_all", some=some, others=others)


def _texts(composed: sql.Composed) -> list[str]:
    """The pieces of a statement that has no values in it."""
    return ["".join(_texts(one)) if isinstance(one, sql.Composed) else one.string for one in composed.seq]
