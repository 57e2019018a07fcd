"""Tables of which several decide together whether somebody is a contact, and of which origin.

Their rows are made so that each number is another case: contacts that are there, that are none for one reason or for
two, and such as are still missing. A statement changes all of them.
"""

from dataclasses import dataclass

from contactexport.adopt.models import FieldMapping, Join, OriginRule, Plan

MAIL = FieldMapping(3, "E-Mail", "longtext", "email", "customer.mail")
NAME = FieldMapping(1, "First Name", "shorttext", "first_name", "subscriber.name")
NUMBERS = "FROM generate_series(1, 8) AS g"


@dataclass(frozen=True)
class Shape:
    """`tables` makes the tables, `rows` fills them. `statements` are done two at a time."""

    tables: str
    plan: Plan
    rows: str
    statements: tuple[str, ...]


def customers(key: str = "form") -> tuple[str, ...]:
    """What can happen to the table of customers. `key` is a column that tells the origin, or leads to it."""
    return (
        f"INSERT INTO customer SELECT g, 2, 'new' {NUMBERS} WHERE g NOT IN (SELECT id FROM customer)",
        "DELETE FROM customer",
        f"UPDATE customer SET {key} = 3",
        "UPDATE customer SET mail = 'other'",
        "UPDATE customer SET id = id + 4 WHERE id > 4",
    )


def of(table: str, what: str) -> tuple[str, ...]:
    """What can happen to a table of rows that each concern a customer."""
    return (
        f"INSERT INTO {table} SELECT g, '{what}', 'c' {NUMBERS}",
        f"DELETE FROM {table} WHERE mark = 'a'",
        f"DELETE FROM {table} WHERE mark = 'b'",
        f"DELETE FROM {table}",
        f"UPDATE {table} SET what = 'none' WHERE mark = 'a'",
        f"UPDATE {table} SET what = '{what}'",
        f"UPDATE {table} SET customer_id = customer_id % 8 + 1",
    )


CUSTOMER = "CREATE TABLE customer (id integer PRIMARY KEY, form integer, mail text);"
CONCERNS = "(customer_id integer, what text, mark text);"
FORM = OriginRule(expression="form")
# Who is there: 1 to 4. Of 1 and 5 there is no row in the other table, of 2 and 6 one, of 3 and 7 two, of 4 and 8 one
# that does not count.
ROWS = """
INSERT INTO customer SELECT g, 1, 'mail' FROM generate_series(1, 4) AS g;
INSERT INTO {table} VALUES (2, '{what}', 'a'), (3, '{what}', 'a'), (3, '{what}', 'b'), (4, 'none', 'b'),
    (6, '{what}', 'a'), (7, '{what}', 'a'), (7, '{what}', 'b'), (8, 'none', 'b');
"""
WITH_KEYS = """
CREATE TABLE consent (
    customer_id integer REFERENCES customer ON DELETE CASCADE ON UPDATE CASCADE, what text, mark text
);
"""
TAGS = """
CREATE TABLE tag (id integer PRIMARY KEY, name text);
CREATE TABLE tagged (customer_id integer, tag_id integer);
"""
TAGGED = """
INSERT INTO customer SELECT g, 1, 'mail' FROM generate_series(1, 4) AS g;
INSERT INTO tag VALUES (1, 'vip'), (2, 'vip'), (3, 'old'), (13, 'vip'), (5, 'vip'), (7, 'old');
INSERT INTO tagged VALUES (1, 1), (2, 12), (3, 3), (3, 13), (5, 5), (6, 16), (7, 7);
"""
OF_TAGS = (
    *customers(),
    f"INSERT INTO tag SELECT g, 'vip' {NUMBERS} WHERE g NOT IN (SELECT id FROM tag)",
    "INSERT INTO tag SELECT g + 10, 'vip' FROM generate_series(1, 2) AS g",
    "DELETE FROM tag",
    "UPDATE tag SET name = 'vip'",
    "UPDATE tag SET name = 'old'",
    f"INSERT INTO tagged SELECT g, g {NUMBERS}",
    "DELETE FROM tagged WHERE tag_id < 10",
    "DELETE FROM tagged WHERE tag_id > 10",
    "UPDATE tagged SET tag_id = customer_id",
)
VIP = """
EXISTS (SELECT FROM tagged AS x JOIN tag AS t ON t.id = x.tag_id WHERE x.customer_id = customer.id AND t.name = 'vip')
"""
ORG = "CREATE TABLE org (id integer PRIMARY KEY, plan integer);"
OF_ORGS = (
    *customers("org_id")[:2],
    *customers("org_id")[3:],
    f"INSERT INTO org SELECT g, 2 {NUMBERS} WHERE g NOT IN (SELECT id FROM org)",
    "DELETE FROM org",
    "UPDATE org SET plan = 2",
    "UPDATE org SET plan = NULL",
    f"INSERT INTO customer SELECT g, g, 'own' {NUMBERS} WHERE g NOT IN (SELECT id FROM customer)",
)
# Whom an organization decides about: 2 and 6 have none.
ORG_ROWS = """
INSERT INTO org SELECT g, 1 FROM generate_series(1, 8) AS g WHERE g NOT IN (2, 6);
INSERT INTO customer SELECT g, g, 'mail' FROM generate_series(1, 4) AS g;
"""
LISTS = "CREATE TABLE subscriber (id integer PRIMARY KEY, status text, name text);"
LIST_ROWS = """
INSERT INTO subscriber VALUES (1, 'on', 'a'), (2, 'on', 'b'), (3, 'off', 'c'), (4, 'on', 'd'), (6, 'off', 'e'),
    (7, 'off', 'f');
INSERT INTO member VALUES (1, 1), (3, 1), (4, 1), (4, 2), (7, 1), (7, 2){more};
"""
OF_LISTS = (
    f"INSERT INTO subscriber SELECT g, 'on', 'new' {NUMBERS} WHERE g NOT IN (SELECT id FROM subscriber)",
    "DELETE FROM subscriber",
    "UPDATE subscriber SET status = 'on'",
    "UPDATE subscriber SET status = 'off'",
    "UPDATE subscriber SET name = 'other'",
    "DELETE FROM member WHERE list_id = 1",
    "DELETE FROM member WHERE list_id = 2",
    "UPDATE member SET list_id = 3 WHERE list_id = 1",
)


UPSERT = """
INSERT INTO member SELECT id, {} FROM subscriber ON CONFLICT (subscriber_id, list_id) DO UPDATE SET list_id =
"""


def _customers_where(condition: str) -> Plan:
    return Plan("customer", "id", (MAIL,), FORM, where=condition)


def _subscribers(condition: str = "status <> 'off'") -> Plan:
    rule = OriginRule(through=("member", "subscriber_id", "list_id"))
    return Plan("subscriber", "id", (NAME,), rule, where=condition)


CONSENT = "EXISTS (SELECT FROM consent AS k WHERE k.customer_id = customer.id AND k.what = 'yes')"
BLOCKED = "NOT EXISTS (SELECT FROM blocked AS b WHERE b.customer_id = customer.id AND b.what = 'yes')"
SHAPES = {
    "blocked": Shape(
        CUSTOMER + "CREATE TABLE blocked " + CONCERNS,
        _customers_where(BLOCKED),
        ROWS.format(table="blocked", what="yes"),
        customers() + of("blocked", "yes"),
    ),
    "consent": Shape(
        CUSTOMER + "CREATE TABLE consent " + CONCERNS,
        _customers_where(CONSENT),
        ROWS.format(table="consent", what="yes"),
        customers() + of("consent", "yes"),
    ),
    "consent of customers that are there": Shape(
        CUSTOMER + WITH_KEYS,
        _customers_where(CONSENT),
        ROWS.format(table="consent", what="yes").split("(6,")[0].rstrip(", \n") + ";",
        customers() + tuple(one.replace("8)", "4)").replace("% 8", "% 4") for one in of("consent", "yes")),
    ),
    "consent, and one origin for all": Shape(
        CUSTOMER + "CREATE TABLE consent " + CONCERNS,
        Plan("customer", "id", (MAIL,), where=CONSENT),
        ROWS.format(table="consent", what="yes"),
        customers() + of("consent", "yes"),
    ),
    "consent and not blocked": Shape(
        CUSTOMER + f"CREATE TABLE consent {CONCERNS} CREATE TABLE blocked {CONCERNS}",
        _customers_where(f"{CONSENT} AND {BLOCKED}"),
        ROWS.format(table="consent", what="yes")
        + "INSERT INTO blocked VALUES (2, 'yes', 'a'), (3, 'yes', 'b'), (6, 'yes', 'a'), (1, 'yes', 'b')",
        (*customers()[:3], *of("consent", "yes")[:5], *of("blocked", "yes")[:5]),
    ),
    "tags, two steps away": Shape(CUSTOMER + TAGS, _customers_where(VIP), TAGGED, OF_TAGS),
    "without a tag": Shape(CUSTOMER + TAGS, _customers_where(f"NOT {VIP}"), TAGGED, OF_TAGS),
    "origin of an organization": Shape(
        CUSTOMER.replace("form", "org_id") + ORG,
        Plan("customer", "id", (MAIL,), OriginRule(expression="org.plan"), (Join("org", "org.id = customer.org_id"),)),
        ORG_ROWS,
        OF_ORGS,
    ),
    "origin of an organization that is there": Shape(
        ORG + CUSTOMER.replace("form integer", "org_id integer REFERENCES org"),
        Plan("customer", "id", (MAIL,), OriginRule(expression="org.plan"), (Join("org", "org.id = customer.org_id"),)),
        ORG_ROWS.replace(" WHERE g NOT IN (2, 6)", ""),
        OF_ORGS,
    ),
    "organization, and not blocked": Shape(
        CUSTOMER.replace("form", "org_id") + ORG + "CREATE TABLE blocked " + CONCERNS,
        Plan(
            "",
            "id",
            (MAIL,),
            view="SELECT customer.id, 'form'::text AS origin_kind, org.plan AS origin_id, customer.mail AS email"
            f" FROM customer JOIN org ON org.id = customer.org_id WHERE {BLOCKED}",
        ),
        ORG_ROWS + "INSERT INTO blocked VALUES (1, 'yes', 'a'), (3, 'yes', 'a'), (3, 'yes', 'b'), (5, 'yes', 'a')",
        (*OF_ORGS, "UPDATE customer SET org_id = 7", "UPDATE org SET plan = 3 WHERE id = 7", *of("blocked", "yes")[:4]),
    ),
    "memberships": Shape(
        LISTS + "CREATE TABLE member (subscriber_id integer, list_id integer);",
        _subscribers(),
        LIST_ROWS.format(more=", (5, 1), (8, 2), (1, 1)"),
        (*OF_LISTS, f"INSERT INTO member SELECT g, 2 {NUMBERS}", f"INSERT INTO member SELECT g, 1 {NUMBERS}"),
    ),
    "memberships with keys": Shape(
        LISTS + "CREATE TABLE member (subscriber_id integer REFERENCES subscriber ON DELETE CASCADE, list_id integer,"
        " PRIMARY KEY (subscriber_id, list_id));",
        _subscribers(),
        LIST_ROWS.format(more=""),
        (
            *OF_LISTS,
            f"{UPSERT.format(2)} excluded.list_id",
            f"{UPSERT.format(1)} 4",
        ),
    ),
    "memberships and consent": Shape(
        LISTS + "CREATE TABLE member (subscriber_id integer, list_id integer);" + f"CREATE TABLE consent {CONCERNS}",
        _subscribers("status <> 'off' AND " + CONSENT.replace("customer.id", "subscriber.id")),
        LIST_ROWS.format(more=", (5, 1), (8, 2)")
        + "INSERT INTO consent SELECT n, 'yes', 'a' FROM unnest(ARRAY[1, 3, 4, 5]) AS n;"
        + "INSERT INTO consent VALUES (4, 'yes', 'b')",
        (*OF_LISTS, f"INSERT INTO member SELECT g, 2 {NUMBERS}", *of("consent", "yes")[:4]),
    ),
}
