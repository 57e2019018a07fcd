"""The steps by which a table is adopted, all in one transaction."""

import dataclasses
import json
from functools import cached_property
from importlib.metadata import version

from psycopg2 import sql

from contactexport.adopt import former
from contactexport.adopt.capture import Capture, Function
from contactexport.adopt.changed_rows import pairs_now, part
from contactexport.adopt.locks import LOCK_SECONDS, lock_tables
from contactexport.adopt.models import Plan
from contactexport.adopt.release import take_away
from contactexport.adopt.select import table_of
from contactexport.adopt.sql_text import text_literal
from contactexport.adopt.statements import Statements
from contactexport.adopt.view_text import TableName
from contactexport.adopt.views import make_views
from contactexport.adopt.watched import Views, WatchedTable
from contactexport.db.queries import queries
from contactexport.errors import UsageError

WATCHABLE = {"r", "p"}  # tables and partitioned ones
UNWATCHABLE = {"f": "a foreign table", "m": "a materialized view", "v": "a view"}


class Adoption:
    """What is made for a plan. The steps are called in the order in which they stand here."""

    def __init__(self, run: Statements, plan: Plan) -> None:
        self.run = run
        self.plan = plan
        self._conn = run.conn
        self._functions: dict[TableName, list[Function]] = {}
        self._follows = False  # on another adoption, whose contacts are kept
        self.views: Views
        self.key_type: str
        self.watched: list[WatchedTable]

    def make_views(self, *, only_shown: bool = False) -> None:
        """Puts the program's own table aside, or what was adopted before, and makes the views of this plan."""
        queries("adopt").limit_lock_wait(self._conn, wait=f"{LOCK_SECONDS}s")
        self._require_unique_key()
        adopted = queries("adopt").adopted(self._conn)
        if adopted is None:
            self._put_own_table_aside()
        else:
            self._follows = former.keep(self.run, only_shown=only_shown)
            take_away(self.run, adopted)
        self.views, self.key_type = make_views(self.run, self.plan)
        queries("schema").find_names_in(self._conn, schema=self.run.schema)
        self.watched = self.views.tables()
        for table in self.watched:
            for name, kind in self._relations(table.table):
                if kind not in WATCHABLE:
                    raise UsageError(f"{name} is {UNWATCHABLE.get(kind, 'no table')}: its changes cannot be seen")
        if queries("adopt").log_key_type(self._conn) != self.key_type:
            if queries("adopt").log_has_rows(self._conn):
                raise UsageError(
                    f"The key is of type {self.key_type}, and the log has changes of contacts with another type of key"
                )
            self.run.execute("make_log_of_uuid" if self.key_type == "uuid" else "make_log_of_numbers")
            self._follows = False  # nobody has read those contacts as changed

    def check_ids(self) -> None:
        """Reads all ids before anything is locked. Raises UsageError for one that repeats or is NULL.

        So does a column that no trigger can see.
        """
        for watched in self.watched:
            place = {"schema": watched.table.schema, "name": watched.table.name, "columns": list(watched.columns)}
            if virtual := queries("adopt").virtual_column(self._conn, **place):
                raise UsageError(f"{watched.table}.{virtual} is a virtual generated column: use what it is made of")
        view = sql.Identifier(self.run.schema, "contact")
        if (wrong := self.run.found("wrong_id", view=view)) is not None:
            what = "is NULL" if wrong["id"] is None else f"{wrong['id']} is there {wrong['times']} times"
            raise UsageError(f"The id of a contact {what}: each contact must have one row and a key")

    def make_functions(self) -> None:
        """Makes the trigger functions."""
        schema = sql.Identifier(self.run.schema)
        capture = Capture(self._conn, self.views, self.key_type)
        key_type = sql.SQL(self.key_type)
        key_body = text_literal(self._conn, part("key_body", key_type=key_type), "body")
        self.run.run(part("key_function", schema=schema, key_type=key_type, body=key_body))
        for number, table in enumerate(self.watched):
            self._functions[table.table] = list(capture.functions(number, table))
        if self.plan.origin.names is not None:
            of_names = self._functions.setdefault(self._names_table, [])
            body = part("names_changed_body", schema=schema, named=self._named(sql.SQL("contactexport_new")))
            # There is nothing to log in its place.
            body = part("frame_of_what_may_fail", body=body, instead=sql.SQL("RAISE"), schema=schema)
            for event in ("inserted", "updated"):
                of_names.append(Function(f"adopted_named_0_{event}", f"named_{event}", body))
        for made in self._functions.values():
            for one in made:
                body = text_literal(self._conn, one.body, "body")
                self.run.run(
                    part("function", schema=schema, name=sql.Identifier(one.name), settings=one.settings, body=body)
                )
                self.run.run(part("close_function", schema=schema, name=sql.Identifier(one.name)))

    def fill_catalogue(self) -> None:
        """Adds fields, choices and origins. Raises UsageError for a field id that is taken."""
        fields = self.plan.fields
        if (taken := queries("adopt").taken_field(self._conn, ids=[one.id for one in fields])) is not None:
            raise UsageError(f"Field {taken['id']} is in the catalogue already: {taken['name']}")
        queries("adopt").note_adopted(
            self._conn,
            plan=json.dumps(dataclasses.asdict(self.plan), ensure_ascii=False),
            version=version("contactexport"),
            joined=not all(one.is_fast for one in self.watched),
        )
        for field in fields:
            values = {"id": field.id, "name": field.name, "application_type": field.application_type}
            values |= {"column": field.column, "exportable": field.exportable, "names": json.dumps(dict(field.names))}
            queries("adopt").add_field(self._conn, **values)
            for choice, labels in field.choices.items():
                queries("adopt").add_choice(self._conn, field_id=field.id, id=choice, labels=json.dumps(dict(labels)))
        count = sum(len(field.choices) for field in fields)
        self.run.tell(
            f"contact_field gets the fields {', '.join(str(field.id) for field in fields)}"
            + (f", and contact_field_choice {count} labels of their choices" if count else "")
        )
        schema = sql.Identifier(self.run.schema)
        self.run.execute(
            "add_seen_origins",
            schema=schema,
            pairs=pairs_now(self.run.schema, memberships=self.views.memberships is not None),
        )
        if self.plan.origin.names is not None:
            self.run.execute("add_named_origins", schema=schema, named=self._named(self._names_table.identifier))

    def lock_tables(self) -> None:
        """Locks all tables that get triggers, against writers. Raises ContactExportError for one in use for 10 s."""
        lock_tables(self._conn, {one for name in self._functions for one, _ in self._relations(name)})

    def add_triggers(self, *, only_shown: bool = False) -> None:
        """Adds the triggers, to partitions too, and notes what is watched."""
        columns = {table.table: list(table.columns) for table in self.watched}
        for table, functions in self._functions.items():
            for relation, kind in self._relations(table):
                triggers = []
                for one in functions:
                    if one.event != "truncated" or kind != "p":  # of a partitioned table the parts are truncated
                        triggers.append(one.trigger)
                        self.run.run(one.trigger_on(relation, self.run.schema), only_shown=only_shown)
                watched = columns.get(table, list(self.plan.origin.names or ())[1:])
                queries("adopt").note_table(
                    self._conn, schema=relation.schema, name=relation.name, columns=watched, triggers=triggers
                )

    def log_difference(self, *, only_shown: bool = False) -> None:
        """Logs who has left with the mapping before this one, and who has come."""
        if self._follows:
            memberships = self.views.memberships is not None
            former.log_difference(self.run, memberships=memberships, only_shown=only_shown)

    def _put_own_table_aside(self) -> None:
        schema, own = self.run.schema, sql.Identifier(self.run.schema, "contact")
        kind = queries("adopt").kind_of_contact(self._conn, schema=schema)
        if kind not in {"r", None}:
            raise UsageError(f"{schema}.contact is not the program's own table but one made by hand: drop it first")
        if kind == "r":
            found = self.run.found("has_rows", table=own)
            if found is not None and found["found"]:
                raise UsageError(
                    f"The program's own table {schema}.contact has contacts. They cannot stay beside an adopted table"
                )
            self.run.execute("put_own_table_aside", table=own)

    def _require_unique_key(self) -> None:
        if self.plan.view is not None:
            return
        queries("adopt").set_path(self._conn, path=queries("adopt").users_path(self._conn, schema=self.run.schema))
        table = table_of(self.plan.table)
        found = queries("adopt").has_unique_key(self._conn, table=table, key=self.plan.key)
        queries("schema").find_names_in(self._conn, schema=self.run.schema)
        if not found:
            raise UsageError(
                f"{self.plan.table}.{self.plan.key} is no key: a column that is NOT NULL and has a unique index of its "
                "own is expected"
            )

    def _relations(self, table: TableName) -> list[tuple[TableName, str]]:
        rows = queries("adopt").relations_below(self._conn, schema=table.schema, name=table.name)
        return [(TableName(row["schema_name"], row["table_name"]), row["kind"]) for row in rows]

    @cached_property
    def _names_table(self) -> TableName:
        name = self.plan.origin.names[0] if self.plan.origin.names else ""
        queries("adopt").set_path(self._conn, path=queries("adopt").users_path(self._conn, schema=self.run.schema))
        found = queries("adopt").table_found(self._conn, table=table_of(name))
        queries("schema").find_names_in(self._conn, schema=self.run.schema)
        if found is None:
            raise UsageError(f"There is no table {name}, which should name the origins")
        return TableName(found["schema_name"], found["table_name"])

    def _named(self, rows: sql.Composable) -> sql.Composed:
        _, number, name = self.plan.origin.names or ("", "", "")
        values = {
            "id": sql.Identifier(number),
            "name": sql.Identifier(name),
            "kind": sql.Literal(self.plan.origin.kind),
        }
        return part("named_origins", **values, rows=rows)
