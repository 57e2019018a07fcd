"""Pools of believable names, places and companies in many locales, made by Faker.

Every contact takes its values from the pool of one locale. Some values contain what breaks careless CSV programs:
quotes, commas, semicolons, line breaks, outer spaces, backslashes, formulas.
"""

import importlib.util
import re
import unicodedata
from dataclasses import asdict, dataclass
from typing import Any

from contactexport.embedded import sample_places
from contactexport.errors import UsageError

POOL_SIZE = 144  # values of each kind and locale
DECORATED = 12  # one value in 12 is awkward


@dataclass(frozen=True)
class Locale:
    """A Faker locale with its choice ids in the catalogue (fields 14 and 35). `weight` is its share of all contacts."""

    code: str
    country: int
    language: int
    dial: str
    weight: int


LOCALES = (
    Locale("de_DE", 65, 2, "+49", 10),
    Locale("de_AT", 10, 2, "+43", 5),
    Locale("de_CH", 168, 2, "+41", 3),
    Locale("fr_FR", 61, 3, "+33", 9),
    Locale("hu_HU", 75, 4, "+36", 9),
    Locale("es_ES", 162, 5, "+34", 9),
    Locale("en_US", 185, 1, "+1", 8),
    Locale("en_GB", 184, 1, "+44", 7),
    Locale("pt_PT", 140, 6, "+351", 4),
    Locale("pl_PL", 139, 7, "+48", 4),
    Locale("cs_CZ", 47, 8, "+420", 3),
    Locale("sv_SE", 167, 9, "+46", 3),
    Locale("el_GR", 67, 11, "+30", 3),
    Locale("ru_RU", 143, 12, "+7", 3),
    Locale("ja_JP", 85, 13, "+81", 4),
    Locale("zh_CN", 37, 14, "+86", 4),
    Locale("ko_KR", 91, 15, "+82", 2),
    Locale("th_TH", 173, 16, "+66", 2),
    Locale("ar_SA", 151, 17, "+966", 3),
    Locale("he_IL", 82, 18, "+972", 2),
    Locale("hi_IN", 77, 19, "+91", 2),
    Locale("vi_VN", 191, 20, "+84", 2),
)

_AWKWARD_NAMES = (
    '{} "Jo"', "{}, jr.", "{}; Dr.", " {}", "{} ", "{}\n", "D'{}", "=1+1", "\\", "{}\r\n{}", "-{}", "{}\\n",
)  # fmt: skip
_AWKWARD_ADDRESSES = (
    "{}\n2. Stock", "{}\r\nc/o Müller", '{}, "Haus B"', "{}; Tür 4", " {} ", "{}\\", "{}, 3/12", "\\.", '"{}"',
    "=1+1", "{}\n\n", "{}\t🏠",
)  # fmt: skip
_AWKWARD_COMPANIES = (
    '"{}"', "{}, Söhne & Co.", "{}; Inc.", '{} ""Best""', "{}\nHolding", "{}\r\n", "=1+1", "@{}", "+{}", "\\", "🌍 {}",
    "{} 24/7,",
)  # fmt: skip
# Letters that Unicode does not decompose into a Latin letter and an accent.
_LATIN = str.maketrans({"ß": "ss", "ł": "l", "Ł": "l", "ø": "o", "Ø": "o", "đ": "d", "Đ": "d", "ı": "i", "æ": "ae"})


@dataclass(frozen=True)
class Pools:
    """Records for the temporary tables. The numbers of people and places of locale n start at n * POOL_SIZE."""

    locales: list[dict[str, Any]]
    people: list[dict[str, Any]]
    places: list[dict[str, Any]]


def make_pools(seed: int) -> Pools:
    """Returns the pools of a seed. They depend on the version of Faker.

    Raises UsageError if Faker is not installed.
    """
    if importlib.util.find_spec("faker") is None:
        raise UsageError("Faker, which makes the sample contacts, is missing: `pip install contactexport[embedded]`")
    from faker import Faker  # takes a quarter of a second to import, and only sample contacts need it

    pools = Pools([], [], [])
    for number, locale in enumerate(LOCALES):
        fake = Faker(locale.code)
        fake.seed_instance(f"{seed} {locale.code}")
        pools.locales.append({"number": number, **asdict(locale)})
        for one in range(POOL_SIZE):
            pools.people.append({"number": number * POOL_SIZE + one, **_person(fake, one)})
            place = sample_places.make_place(fake, locale.code)
            place["address"] = _awkward(_AWKWARD_ADDRESSES, str(place["address"]), one)
            place["company"] = _awkward(_AWKWARD_COMPANIES, str(place["company"]), one)
            pools.places.append({"number": number * POOL_SIZE + one, **place})
    return pools


def weighted_locales() -> list[int]:
    """Returns the number of each locale, repeated by its weight."""
    return [number for number, locale in enumerate(LOCALES) for _ in range(locale.weight)]


def _person(fake: Any, number: int) -> dict[str, str]:
    names = {
        "male_first": fake.first_name_male(),
        "female_first": fake.first_name_female(),
        "male_last": fake.last_name_male(),
        "female_last": fake.last_name_female(),
    }
    mailboxes = {f"{kind}_mailbox": _mailbox(fake, name) for kind, name in names.items()}
    return {kind: _awkward(_AWKWARD_NAMES, name, number) for kind, name in names.items()} | mailboxes


def _awkward(shapes: tuple[str, ...], value: str, number: int) -> str:
    if number % DECORATED:
        return value
    return shapes[number // DECORATED % len(shapes)].replace("{}", value)


def _mailbox(fake: Any, name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.translate(_LATIN))
    latin = re.sub("[^a-z]", "", plain.lower())
    return latin if len(latin) > 1 else re.sub("[^a-z]", "", fake.user_name().lower()) or "contact"
