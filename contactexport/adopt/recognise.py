"""Recognises stored values as choices of system fields: `m` as Male, `AT` or `Austria` as the country 10."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from babel import Locale
from babel.core import get_global

from contactexport.system_fields import folded, system_fields

GENDER, COUNTRY, OFFICE_COUNTRY, LANGUAGE, SALUTATION = 5, 14, 45, 35, 46
# Beside the labels of the choices.
_OTHER_WORDS: Mapping[int, Sequence[Mapping[str, int]]] = {
    GENDER: ({"m": 1, "f": 2}, {"m": 1, "w": 2}, {"man": 1, "woman": 2}, {"mann": 1, "frau": 2}, {"boy": 1, "girl": 2}),
    SALUTATION: ({"Mr": 1, "Mrs": 2, "Ms": 2, "Miss": 2}, {"Herr": 1, "Frau": 2}, {"M": 1, "Mme": 2, "Mlle": 2}),
}
# Names of countries beside those of the catalogue, and codes of countries that are no more.
_ENGLISH_COUNTRIES = {
    "United States": 185,
    "USA": 185,
    "UK": 184,
    "Great Britain": 184,
    "South Korea": 91,
    "Czechia": 47,
}
_FORMER_COUNTRIES = {"DDR", "FXX", "NTZ", "SCG", "SUN", "YUG"}


def recognised(field_id: int, values: Sequence[str]) -> dict[str, int] | None:
    """The choice of each value, and of others that may come, written in the same way. None unless all are recognised.

    >>> recognised(5, ["m"])
    {'m': 1, 'f': 2}
    """
    seen = [value for value in values if value.strip()]
    for words in dictionaries(field_id) if seen else ():
        choices = {folded(word): choice for word, choice in words.items()}
        if all(folded(value) in choices for value in seen):
            known = {folded(value) for value in seen}
            style: Callable[[str], str] = str
            if all(value.isupper() for value in seen):
                style = str.upper
            elif all(value.islower() for value in seen):
                style = str.lower
            others = {style(word): choice for word, choice in words.items() if folded(word) not in known}
            return {value: choices[folded(value)] for value in seen} | others
    return None


@cache
def dictionaries(field_id: int) -> Sequence[Mapping[str, int]]:
    """Words and their choices, one for each way in which values may be written, in the order of trial."""
    choices = system_fields()[field_id].choices
    found: list[Mapping[str, int]] = [*_OTHER_WORDS.get(field_id, ())]
    others: dict[str, int] = {}
    if field_id in {COUNTRY, OFFICE_COUNTRY}:
        others = _ENGLISH_COUNTRIES
        codes = _codes(choices, lambda locale: locale.territories) | {"US": others["USA"]}
        found.append(codes)
        aliases: Mapping[str, Sequence[str]] = get_global("territory_aliases")
        long_codes = {code: short[0] for code, short in aliases.items() if len(code) == 3 and code.isalpha()}
        still_there = {code: short for code, short in long_codes.items() if code not in _FORMER_COUNTRIES}
        found.append({code: codes[short] for code, short in still_there.items() if short in codes})
    elif field_id == LANGUAGE:
        found.append(_codes(choices, lambda locale: locale.languages))
    found.append({labels["en"]: choice for choice, labels in choices.items()} | others)
    for language in ("de", "fr", "hu", "es"):
        found.append({labels[language]: choice for choice, labels in choices.items()})
    return found


def _codes(choices: Mapping[int, Mapping[str, str]], names: Callable[[Locale], Mapping[str, str]]) -> dict[str, int]:
    """The code of two letters by which Babel knows a label of each choice."""
    found: dict[str, int] = {}
    for language in ("en", "de", "fr", "hu", "es"):
        codes = {folded(name): code for code, name in names(Locale.parse(language)).items() if len(code) == 2}
        for choice, labels in choices.items():
            code = codes.get(folded(labels[language]))
            if code is not None and choice not in found.values():
                found[code] = choice
    return found
