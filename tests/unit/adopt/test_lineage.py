"""How rows of tables are found to lead to contacts, and what of a row is looked at."""

import pytest

from contactexport.adopt.atoms import Atoms, of_row
from contactexport.adopt.lineage import Lineage
from contactexport.adopt.view_text import parsed, sql_of
from contactexport.errors import UsageError


def lineage(select: str) -> Lineage:
    return Lineage(parsed(select, "The SELECT"), "id")


def way(select: str, table: str) -> str:
    """The steps from the first occurrence of a table to the key."""
    found = lineage(select)
    path = found.path(next(one for one in found.occurrences if one.table.name == table))
    steps = [f"{sql_of(edge.start_side)} = {sql_of(edge.end_side)}" for edge in path.edges]
    return ", ".join([*steps, sql_of(path.key)])


WAYS = {
    "own table": ("SELECT c.id FROM s.c AS c", "c", "c.id"),
    "key in the row": ("SELECT c.id FROM s.c AS c LEFT JOIN s.p AS p ON p.c_id = c.id", "p", "p.c_id"),
    "by a table between": (
        "SELECT c.id FROM s.c AS c LEFT JOIN s.a AS a ON a.c_id = c.id LEFT JOIN s.l AS l ON l.code = a.code",
        "l",
        "l.code = a.code, a.c_id",
    ),
    "expression": (
        "SELECT c.id FROM s.c AS c JOIN s.l AS l ON l.code = lower(c.code)",
        "l",
        "l.code = LOWER(c.code), c.id",
    ),
    "inside EXISTS": (
        "SELECT c.id FROM s.c AS c WHERE EXISTS (SELECT FROM s.o AS o WHERE o.c_id = c.id)",
        "o",
        "o.c_id",
    ),
    "inside OR": (
        "SELECT c.id FROM s.c AS c WHERE c.vip OR EXISTS (SELECT FROM s.o AS o WHERE o.c_id = c.id)",
        "o",
        "o.c_id",
    ),
    "IN": ("SELECT c.id FROM s.c AS c WHERE c.id IN (SELECT o.c_id FROM s.o AS o)", "o", "o.c_id"),
    "grouped": (
        (
            "SELECT c.id, g.n FROM s.c AS c LEFT JOIN (SELECT o.c_id AS k, count(*) AS n FROM s.o AS o GROUP"
            " BY o.c_id) AS g"
            " ON g.k = c.id"
        ),
        "o",
        "o.c_id",
    ),
    "part of a UNION": (
        (
            "SELECT c.id FROM s.c AS c JOIN (SELECT o.c_id FROM s.o AS o UNION ALL SELECT q.c_id FROM s.q AS q) AS u"
            " ON u.c_id = c.id"
        ),
        "q",
        "q.c_id",
    ),
}
NO_WAY = {
    "no condition": ("SELECT c.id FROM s.c AS c CROSS JOIN s.x AS x", "x"),
    "only by the optional side": (
        "SELECT c.id FROM s.c AS c JOIN s.x AS x ON true LEFT JOIN s.p AS p ON p.x_id = x.id AND p.c_id = c.id",
        "x",
    ),
    "only by a subquery": (
        "SELECT c.id, (SELECT p.n FROM s.p AS p WHERE p.x = x.id AND p.c_id = c.id) FROM s.c AS c CROSS JOIN s.x AS x",
        "x",
    ),
    "equal in an OR": ("SELECT c.id FROM s.c AS c JOIN s.x AS x ON x.c_id = c.id OR x.everywhere", "x"),
    "only one part of a UNION": (
        (
            "SELECT c.id FROM s.x AS x JOIN (SELECT a.id, a.x_id FROM s.a AS a UNION ALL SELECT c.id, c.x_id"
            " FROM s.c AS c)"
            " AS u ON u.x_id = x.id CROSS JOIN s.c AS c"
        ),
        "x",
    ),
    "aggregate": ("SELECT c.id FROM s.c AS c JOIN (SELECT max(o.c_id) AS k FROM s.o AS o) AS g ON g.k = c.id", "o"),
}


@pytest.mark.parametrize(("select", "table", "expected"), WAYS.values(), ids=list(WAYS))
def test_equalities_lead_from_a_table_to_the_key(select: str, table: str, expected: str):
    assert way(select, table) == expected


@pytest.mark.parametrize(("select", "table"), NO_WAY.values(), ids=list(NO_WAY))
def test_table_whose_rows_may_be_of_any_contact_is_refused_by_name(select: str, table: str):
    with pytest.raises(UsageError, match=rf"s\.{table}: no equality leads"):
        way(select, table)


def test_atoms_are_the_largest_expressions_over_one_row():
    found = lineage(
        "SELECT c.id, lower(c.mail) AS mail, coalesce(c.nick, p.nick) AS nick, count(c.visits) AS n, l.name AS country"
        " FROM s.c AS c LEFT JOIN s.p AS p ON p.c_id = c.id LEFT JOIN s.l AS l ON l.code = upper(c.code)"
        " WHERE c.active AND c.age > 17 AND p.agreed"
    )
    atoms = Atoms(found, frozenset({"id"}))
    told = {
        one.table.name: [{of_row(atom, "r") for atom in atoms.of(one, deciding=decides)} for decides in (True, False)]
        for one in found.occurrences
    }
    assert told == {
        "c": [{"r.id", "r.active AND r.age > 17"}, {"LOWER(r.mail)", "r.nick", "r.visits", "UPPER(r.code)"}],
        "p": [{"r.agreed", "r.c_id"}, {"r.nick"}],
        "l": [set(), {"r.name", "r.code"}],
    }


DECIDING = {
    "values only": ("SELECT c.id, o.a AS name FROM s.c AS c LEFT JOIN s.o AS o ON o.id = c.o_id", {"c.id"}),
    "origin": (
        "SELECT c.id, o.a AS origin_id FROM s.c AS c LEFT JOIN s.o AS o ON o.id = c.o_id AND c.ok",
        {"c.id", "o.a", "o.id", "c.o_id", "c.ok"},
    ),
    "by another join": (
        "SELECT c.id FROM s.c AS c LEFT JOIN s.o AS o ON o.id = c.o_id LEFT JOIN s.q AS q ON q.id = o.q_id WHERE q.b",
        {"c.id", "q.b", "q.id", "o.q_id", "o.id", "c.o_id"},
    ),
    "subquery": (
        (
            "SELECT c.id, x.a AS origin_id FROM s.c AS c LEFT JOIN (SELECT o.a, o.id, o.d FROM s.o AS o) AS x"
            " ON x.id = c.o_id"
        ),
        {"c.id", "o.a", "o.id", "o.d", "c.o_id"},
    ),
    "LATERAL": (
        (
            "SELECT c.id, x.a AS origin_id FROM s.c AS c"
            " LEFT JOIN LATERAL (SELECT o.a FROM s.o AS o WHERE o.id = c.o_id) AS x ON c.ok"
        ),
        {"c.id", "o.a", "o.id", "c.o_id", "c.ok"},
    ),
    "inside brackets": (
        (
            "SELECT c.id, p.a AS origin_id FROM s.c AS c"
            " LEFT JOIN (s.p AS p LEFT JOIN s.o AS o ON o.id = p.o_id) ON p.id = c.p_id"
        ),
        {"c.id", "p.a", "p.id", "c.p_id"},
    ),
}


@pytest.mark.parametrize(("select", "expected"), DECIDING.values(), ids=list(DECIDING))
def test_what_a_left_join_gives_decides_with_its_condition_if_it_is_looked_at(select: str, expected: set[str]):
    found = lineage(select)
    atoms = Atoms(found, frozenset({"id", "origin_id"}))
    told = {of_row(atom, one.table.name) for one in found.occurrences for atom in atoms.of(one, deciding=True)}
    assert told == expected
