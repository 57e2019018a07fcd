"""The pools from which sample contacts take their values."""

import hashlib
import os
import subprocess
import sys
import unicodedata
from dataclasses import asdict

import pytest

from contactexport.embedded import sample_catalogue, sample_pools
from contactexport.embedded.sample_pools import LOCALES, POOL_SIZE
from contactexport.errors import UsageError

PRINT_DIGEST = """
import dataclasses, hashlib
from contactexport.embedded import sample_pools
print(hashlib.sha256(repr(dataclasses.asdict(sample_pools.make_pools(1))).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def pools() -> sample_pools.Pools:
    return sample_pools.make_pools(1)


def values(records: list[dict], *kinds: str) -> list[str]:
    return [record[kind] for record in records for kind in kinds]


def test_every_locale_has_full_pool_of_people_and_places(pools):
    numbers = list(range(len(LOCALES) * POOL_SIZE))
    assert [person["number"] for person in pools.people] == numbers
    assert [place["number"] for place in pools.places] == numbers


def test_same_seed_makes_same_pools_in_every_process(pools):
    here = hashlib.sha256(repr(asdict(pools)).encode()).hexdigest()
    # The order of a set of strings depends on the process unless this variable says otherwise.
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        there = subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST], env=environment, capture_output=True, text=True, check=True
        )
        assert there.stdout.strip() == here


def test_another_seed_makes_other_pools(pools):
    assert values(sample_pools.make_pools(2).people, "male_last") != values(pools.people, "male_last")


@pytest.mark.parametrize(
    "script", ["CJK UNIFIED", "HANGUL", "ARABIC", "HEBREW", "CYRILLIC", "GREEK", "THAI", "DEVANAGARI"]
)
def test_names_come_in_many_scripts(pools, script):
    letters = set("".join(values(pools.people, "male_first", "female_last")))
    assert any(unicodedata.name(letter, "").startswith(script) for letter in letters)


@pytest.mark.parametrize("part", ['"', "'", ",", ";", "\n", "\r\n", "\\", "ö", "ß", "ő", "é", "ñ"])
def test_values_contain_what_breaks_careless_programs(pools, part):
    texts = values(pools.people, "male_first", "male_last") + values(pools.places, "address", "company", "city")
    assert any(part in text for text in texts)


@pytest.mark.parametrize("kind", ["address", "company"])
def test_places_contain_formulas_lone_backslashes_and_outer_spaces(pools, kind):
    texts = values(pools.places, kind) + values(pools.people, "male_first")
    assert "=1+1" in texts
    assert "\\" in texts
    assert any(text.startswith(" ") for text in texts)
    assert any(text.endswith(" ") for text in texts)


def test_most_values_are_ordinary(pools):
    names = values(pools.people, "male_first")
    assert sum(name.replace(" ", "").replace("-", "").isalpha() for name in names) > 0.75 * len(names)


def test_mailboxes_are_plain_ascii(pools):
    mailboxes = values(pools.people, "male_first_mailbox", "female_last_mailbox")
    assert all(mailbox.isascii() and mailbox.isalpha() and mailbox.islower() for mailbox in mailboxes)
    german = values(pools.people[:POOL_SIZE], "male_first_mailbox")
    assert len(set(german)) > POOL_SIZE / 2


def test_foreign_places_contain_no_english_words(pools):
    number = next(n for n, locale in enumerate(LOCALES) if locale.code == "ar_SA")
    own = pools.places[number * POOL_SIZE : (number + 1) * POOL_SIZE]
    assert not any(letter.isascii() and letter.isalpha() for place in own for letter in place["city"])


def test_every_locale_names_choices_of_catalogue():
    ids = sample_catalogue.choice_ids_by_column()
    for locale in LOCALES:
        assert locale.country in ids["country"]
        assert locale.language in ids["registration_language"]


def test_locale_is_repeated_by_its_weight():
    drawn = sample_pools.weighted_locales()
    assert [drawn.count(number) for number in range(len(LOCALES))] == [locale.weight for locale in LOCALES]


def test_missing_faker_error_names_package_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"contactexport\[embedded\]"):
        sample_pools.make_pools(1)
