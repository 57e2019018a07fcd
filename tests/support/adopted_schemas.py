"""Schemas that others might have (tests/schemas/*.sql), the plans to adopt them, and values to change them by."""

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contactexport.adopt.models import FieldMapping, Join, OriginRule, Plan

FOLDER = Path(__file__).parents[1] / "schemas"
Value = Callable[[random.Random], object]


@dataclass(frozen=True)
class AdoptedSchema:
    """`values` gives random values by table and column, out of few, so that rows meet. `keys` are columns to find rows
    by.

    `direct` are partitions that are written directly, too. `hidden` are tables of which a change may be logged that no
    contact shows: a value of theirs that another table hides.
    """

    name: str
    plan: Plan
    values: Mapping[str, Mapping[str, Value]]
    keys: Mapping[str, str]
    direct: tuple[str, ...] = ()
    hidden: frozenset[str] = field(default_factory=frozenset)

    @property
    def ddl(self) -> str:
        """What makes its tables."""
        return (FOLDER / f"{self.name}.sql").read_text(encoding="utf-8")


def one_of(*values: object) -> Value:
    """One of these."""
    return lambda rng: rng.choice(values)


def number(most: int) -> Value:
    """A number from 1 on."""
    return lambda rng: rng.randint(1, most)


def key(space: int, most: int) -> Value:
    """A UUID out of a few."""
    return lambda rng: str(uuid.UUID(int=space * 1000 + rng.randint(1, most)))


def maybe(value: Value, nulls: float = 0.2) -> Value:
    """NULL now and then."""
    return lambda rng: None if rng.random() < nulls else value(rng)


def word(rng: random.Random) -> str:
    """A text that is hardly ever the same."""
    return "".join(rng.choices("abcdefghij", k=6))


def text(
    number_: int, name: str, column: str, expression: str, kind: str = "shorttext", **more: object
) -> FieldMapping:
    """A field."""
    return FieldMapping(number_, name, kind, column, expression, **more)


NEWSLETTER = AdoptedSchema(
    "newsletter",
    Plan(
        "subscribers",
        "id",
        (
            text(1, "Name", "name", "subscribers.name"),
            text(3, "E-Mail", "email", "email"),
            text(11, "City", "city", "attribs->>'city'"),
            text(106540, "Age", "age", "(attribs->>'age')::int"),
        ),
        origin=OriginRule(through=("subscriber_lists", "subscriber_id", "list_id"), names=("lists", "id", "name")),
        where="status <> 'blocklisted'",
    ),
    {
        "subscribers": {
            "id": number(12),
            "email": word,
            "name": word,
            "attribs": one_of('{"age": "7"}', '{"age": "x"}', '{"city": "Graz"}', '{"age": "7", "other": 1}', "{}"),
            "status": one_of("enabled", "disabled", "blocklisted"),
            "updated_at": one_of("2020-01-01", "2021-01-01"),
        },
        "lists": {"id": number(5), "name": word},
        "subscriber_lists": {
            "subscriber_id": number(12),
            "list_id": number(5),
            "status": one_of("unconfirmed", "confirmed"),
        },
    },
    {"subscribers": "id", "lists": "id", "subscriber_lists": "subscriber_id"},
)

ACCOUNTS = AdoptedSchema(
    "accounts",
    Plan(
        "auth_user",
        "id",
        (
            text(1, "First Name", "first_name", "first_name"),
            text(3, "E-Mail", "email", "lower(email)"),
            text(11, "City", "city", "profile.city"),
            text(4, "Birthday", "birthday", "profile.birthday", "birthdate"),
        ),
        origin=OriginRule(expression="profile.site_id"),
        joins=(Join("profile", "profile.user_id = auth_user.id"),),
        where="is_active",
    ),
    {
        "auth_user": {
            "id": number(12),
            "username": word,
            "first_name": one_of("Ann", "Bob", "ann"),
            "email": one_of("A@x.at", "a@x.at", "b@x.at"),
            "is_active": one_of(True, True, False),
            "last_login": one_of("2020-01-01", "2021-01-01"),
        },
        "profile": {
            "id": number(12),
            "user_id": number(12),
            "city": maybe(word),
            "birthday": maybe(one_of("1990-01-01", "1991-02-02")),
            "site_id": maybe(number(3)),
        },
    },
    {"auth_user": "id", "profile": "user_id"},
    hidden=frozenset({"profile"}),
)

SHOP = AdoptedSchema(
    "shop",
    Plan(
        "customer",
        "id",
        (
            text(3, "E-Mail", "email", "email"),
            text(11, "City", "city", "city"),
            text(14, "Country", "country", "country"),
        ),
        view="""
            WITH bought AS (SELECT customer_id FROM shop_order WHERE state <> 'cancelled')
            SELECT c.id, 'form'::text AS origin_kind, c.sales_channel AS origin_id, c.email, a.city, t.name AS country
            FROM customer c
            LEFT JOIN customer_address a ON a.id = c.default_address_id
            LEFT JOIN country_translation t ON t.country_id = a.country_id AND t.language = 'en'
            WHERE NOT c.guest AND EXISTS (SELECT FROM bought b WHERE b.customer_id = c.id);
        """,
    ),
    {
        "country": {"id": key(1, 4), "iso": word},
        "country_translation": {"country_id": key(1, 4), "language": one_of("en", "de"), "name": maybe(word)},
        "customer": {
            "id": key(2, 10),
            "sales_channel": number(3),
            "email": word,
            "guest": one_of(False, False, True),
            "default_address_id": maybe(key(3, 20), 0.7),
        },
        "customer_address": {
            "id": key(3, 20),
            "customer_id": key(2, 10),
            "city": maybe(word),
            "country_id": maybe(key(1, 4)),
        },
        "shop_order": {"number": number(20), "customer_id": maybe(key(2, 10)), "state": one_of("open", "cancelled")},
    },
    {
        "country": "id",
        "country_translation": "country_id",
        "customer": "id",
        "customer_address": "id",
        "shop_order": "number",
    },
    hidden=frozenset({"country_translation", "customer_address", "customer", "shop_order"}),
)

REGIONS = AdoptedSchema(
    "regions",
    Plan(
        "customer",
        "customer_no",
        (
            text(1, "First Name", "first_name", "given_name"),
            text(3, "E-Mail", "email", "mail"),
            text(
                5, "Gender", "gender", "sex", "singlechoice",
                values={"m": 1, "f": 2}, choices={1: {"en": "Male"}, 2: {"en": "Female"}},
            ),
        ),
        origin=OriginRule(expression="signup_form"),
    ),
    {
        name: {
            "customer_no": number(15),
            "signup_form": maybe(number(4)),
            "given_name": maybe(word),
            "mail": word,
            "sex": one_of("m", "f", "x", "y", None),
            "visits": number(100),
        }
        for name in ("customer", "customer_0", "customer_1", "customer_2")
    },
    dict.fromkeys(("customer", "customer_0", "customer_1", "customer_2"), "customer_no"),
    direct=("customer_0", "customer_1", "customer_2"),
)  # fmt: skip

HELPDESK = AdoptedSchema(
    "helpdesk",
    Plan(
        "member",
        "id",
        (
            text(1, "Name", "name", "name"),
            text(9, "Score", "score", "score"),
            text(18, "Company", "organization", "organization"),
            text(106541, "Tags", "tags", "tags", "longtext"),
        ),
        view="""
            SELECT m.id, CASE WHEN m.plan > 1 THEN 'form' ELSE 'api' END AS origin_kind,
                   m.plan AS origin_id, m.name, m.score, m.organization,
                   (SELECT string_agg(t.name, ', ' ORDER BY t.name)
                    FROM person_tag x JOIN tag t ON t.id = x.tag_id WHERE x.person_id = m.id) AS tags
            FROM member m
            WHERE NOT EXISTS (
                SELECT FROM person_tag x JOIN tag t ON t.id = x.tag_id WHERE x.person_id = m.id AND t.name = 'spam'
            )
        """,
    ),
    {
        "organization": {"id": number(4), "name": word, "plan": one_of(0, 1, 2, 3)},
        "person": {
            "id": number(12),
            "organization_id": maybe(number(4)),
            "name": word,
            "score": one_of("1.0", "1.00", "2", None),
            "archived": one_of(False, False, True),
        },
        "tag": {"id": number(5), "name": one_of("spam", "vip", "gold", "new", "old", "late")},
        "person_tag": {"person_id": number(12), "tag_id": number(5)},
    },
    {"organization": "id", "person": "id", "tag": "id", "person_tag": "person_id"},
    hidden=frozenset({"tag", "person_tag", "person"}),  # two organizations may have one name
)

SCHEMAS = {one.name: one for one in (NEWSLETTER, ACCOUNTS, SHOP, REGIONS, HELPDESK)}
