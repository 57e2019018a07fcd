"""The SELECTs of tests/schemas/odd/selects.sql, and values for their tables (tests/schemas/odd/teams.sql)."""

import random
import re
from collections.abc import Mapping

from contactexport.adopt.models import Plan
from tests.support.adopted_schemas import FOLDER, AdoptedSchema, maybe, number, one_of, text, word


def word_or_key(rng: random.Random) -> str:
    """A text that is the key of a person now and then."""
    return rng.choice([word(rng), word(rng), str(rng.randint(1, 12))])


VALUES = {
    "org": {"id": number(5), "parent_id": maybe(number(5)), "name": word_or_key, "plan": maybe(number(3))},
    "team": {"team_id": number(5), "org_id": maybe(number(5)), "plan": maybe(number(3))},
    "person": {
        "id": number(12),
        "org_id": maybe(number(5)),
        "team_id": maybe(number(5)),
        "name": word,
        "ok": one_of(True, True, False),
        "form": maybe(number(3)),
    },
    "guest": {"id": lambda rng: 100 + rng.randint(1, 6), "org_id": maybe(number(5)), "name": word},
    "badge": {
        "person_id": maybe(number(12)),
        "level": maybe(number(3)),
        "note": one_of('{"a": 1}', '{"a":1}', '{"a": 2}', None),
    },
}
KEYS = {"org": "id", "team": "team_id", "person": "id", "guest": "id", "badge": "person_id"}


def odd_selects() -> Mapping[str, tuple[str, str]]:
    """By name: a SELECT, and how it is refused. That is empty for those that can be watched."""
    parts = (FOLDER / "odd/selects.sql").read_text(encoding="utf-8").split(";\n")
    found = (re.search(r"-- ([^\n]*)\n(?:-- refused: ([^\n]*)\n)?((?:SELECT|WITH).*)", one, re.DOTALL) for one in parts)
    return {one[1]: (one[3], one[2] or "") for one in found if one is not None}


def odd_select(name: str) -> AdoptedSchema:
    """One of them, to be adopted."""
    select, _ = odd_selects()[name]
    fields = [text(1, "Name", "name", "name"), *([text(11, "City", "city", "city")] if " AS city" in select else [])]
    return AdoptedSchema(
        "odd/teams", Plan("", "id", tuple(fields), view=select), VALUES, KEYS, hidden=frozenset(VALUES)
    )
