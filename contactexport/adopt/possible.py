"""Pairs of contact and origin that a row may make or end together with rows that its transaction does not see."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from contactexport.adopt.atoms import ancestors, output_of
from contactexport.adopt.from_clause import columns_in, sources
from contactexport.adopt.lineage import Lineage, Occurrence, Path
from contactexport.adopt.watched import OF_CONTACTS, OF_MEMBERSHIPS, Views, WatchedTable

GONE, COME = "decided_gone", "decided_come"
BOTH = frozenset({GONE, COME})


@dataclass(frozen=True)
class Possible:
    """`path` leads from a row to the contact. `kind` and `origin` are its origin, over the same row. None: not told.

    `makes` names the rows by which such a pair can begin: those that are gone, such as the last one that NOT EXISTS
    finds, those that come, or both. `alone`: there is no such pair without such a row. `always`: not even a contact
    that is there is sure to be of the origin that is seen.
    """

    path: Path
    kind: exp.Expr | None
    origin: exp.Expr | None
    makes: frozenset[str]
    alone: bool
    always: bool


def possible_pairs(views: Views, table: WatchedTable) -> Iterator[Possible]:
    """One for each place of a view where the table is named."""
    if views.memberships is not None:
        # The origins are in the other view: a contact that is there has those that its memberships tell.
        for occurrence in views.contacts.occurrences:
            if occurrence.table == table.table:
                path = views.contacts.path(occurrence)
                yield Possible(path, None, None, _makes(occurrence), alone=False, always=False)
    lineage, names = (views.memberships, OF_MEMBERSHIPS) if views.memberships else (views.contacts, OF_CONTACTS)
    told = {one: _told(lineage, names, one) for one in lineage.occurrences}
    branches_told = {_branch(one) for one, pair in told.items() if pair is not None and _is_alone(lineage, one)}
    for occurrence, pair in told.items():
        if occurrence.table == table.table:
            kind, origin = pair or (None, None)
            yield Possible(
                lineage.path(occurrence),
                kind,
                origin,
                _makes(occurrence),
                alone=pair is not None and _is_alone(lineage, occurrence),
                always=lineage is views.memberships or _branch(occurrence) not in branches_told,
            )


def _told(lineage: Lineage, names: tuple[str, str, str], occurrence: Occurrence) -> tuple[exp.Expr, exp.Expr] | None:
    """Kind and id of the origin, if they are the same for all, or are told by the row that has the key, too."""
    kind, origin = (output_of(_branch(occurrence), name, occurrence) for name in names[1:])
    if kind is None or origin is None:
        return None
    constant = not columns_in(kind) and not columns_in(origin)
    return (kind, origin) if constant or _is_alone(lineage, occurrence) else None


def _is_alone(lineage: Lineage, occurrence: Occurrence) -> bool:
    """True if there is a contact of this key only where there is such a row."""
    branch = _branch(occurrence)
    inside = occurrence.node.find_ancestor(exp.Select) is branch and not _is_optional(occurrence, branch)
    return inside and not lineage.path(occurrence).edges


def _makes(occurrence: Occurrence) -> frozenset[str]:
    branch, select = _branch(occurrence), occurrence.node.find_ancestor(exp.Select)
    if select is branch:
        return BOTH if _is_optional(occurrence, branch) else frozenset({COME})
    if select is None:
        return BOTH
    exists = select.parent
    if not isinstance(exists, exp.Exists) or exists.find_ancestor(exp.Select) is not branch:
        return BOTH
    if _is_optional(occurrence, select) or any(
        select.args.get(part) for part in ("group", "having", "limit", "offset")
    ):
        return BOTH
    # What of the condition stands around EXISTS: only AND, and NOT right before it.
    around = [one for one in ancestors(exists) if not isinstance(one, exp.Paren)]
    negated = isinstance(around[0], exp.Not)
    rest = around[1:] if negated else around
    plain = next((one for one in rest if not isinstance(one, exp.And)), None)
    if not isinstance(plain, exp.Where):
        return BOTH
    if negated and len(sources(select)) > 1:
        return BOTH  # who ends what a new row has found does not know whom that concerns
    return frozenset({GONE} if negated else {COME})


def _branch(occurrence: Occurrence) -> exp.Select:
    """The SELECT whose rows are contacts, one of several of a UNION."""
    outermost = [one for one in ancestors(occurrence.node) if isinstance(one, exp.Select)]
    return outermost[-1]


def _is_optional(occurrence: Occurrence, select: exp.Expr) -> bool:
    """True if the table is on the side of a LEFT JOIN that may have no row."""
    for one in ancestors(occurrence.node):
        if one is select:
            return False
        if isinstance(one, exp.Join) and one.side == "LEFT":
            return True
    return False
