"""Adopts a table: views, catalogue and triggers in one transaction, proven before it is committed."""

from dataclasses import dataclass

from contactexport.adopt import first_export as whole_log
from contactexport.adopt import prove
from contactexport.adopt.adoption import Adoption
from contactexport.adopt.first_export import Progress, no_progress
from contactexport.adopt.models import Plan
from contactexport.adopt.statements import Statements
from contactexport.adopt.transaction import refused_in_one_line, whole_or_nothing
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.queries import queries


@dataclass(frozen=True)
class Applied:
    """What was done: the tables that are watched, what could not be proven and why, and how many contacts were logged
    for a first export.
    """

    tables: tuple[str, ...]
    unproven: tuple[str, ...]
    logged: int = 0


def apply(context: Context, plan: Plan, *, first_export: bool = False, progress: Progress = no_progress) -> Applied:
    """Adopts the table of a plan. If one is adopted already, this plan takes the place of its plan.

    Raises, with nothing done: UsageError for a plan that does not fit, NotCaptured for a change that would not be
    logged, ContactExportError for a table that is locked for longer than 10 s and for what else Postgres refuses.
    """
    schema = context.contacts.schema
    with whole_or_nothing(context.contacts) as conn:
        # The functions take it over, so that they see values as an export writes them.
        queries("adopt").set_time_zone(conn, zone=str(context.settings.time_zone))
        adoption = Adoption(Statements(conn, schema), plan)
        progress("views", 0)
        adoption.make_views()
        progress("checking ids", 0)
        adoption.check_ids()
        adoption.make_functions()
        adoption.fill_catalogue()
        adoption.lock_tables()
        adoption.add_triggers()
        adoption.log_difference()
        progress("proving", 0)
        unproven = prove.prove(adoption.run, adoption.views, adoption.watched, adoption.key_type)
    tables = tuple(str(one.table) for one in adoption.watched)
    memberships = adoption.views.memberships is not None
    logged = whole_log.log_all(context.contacts, progress, memberships=memberships) if first_export else 0
    return Applied(tables, tuple(unproven), logged)


def statements(conn: Connection, plan: Plan) -> list[str]:
    """The SQL that `apply` would run, in its order. Nothing of it stays. Raises UsageError as `apply` does."""
    schema = queries("schema").current(conn)
    was_autocommit = conn.autocommit
    conn.autocommit = False
    try:
        adoption = Adoption(Statements(conn, schema), plan)
        with refused_in_one_line(conn):
            adoption.make_views(only_shown=True)
            adoption.make_functions()
            adoption.fill_catalogue()
            adoption.add_triggers(only_shown=True)
            adoption.log_difference(only_shown=True)
        return adoption.run.texts
    finally:
        conn.rollback()
        conn.autocommit = was_autocommit
