"""The language codes of exports (Emarsys API, "Language Codes"), in lower case, and their names.

The codes of the original are not standard: `cz` is Czech and `jp` Japanese. The table maps them to locales of Babel.
"""

from functools import cache

from babel import Locale

_LOCALES = {
    "ar": "ar",
    "bg": "bg",
    "bp": "pt_BR",
    "cn": "zh_Hans",
    "cz": "cs",
    "de": "de",
    "dk": "da",
    "el": "el",
    "en": "en",
    "es": "es",
    "et": "et",
    "fi": "fi",
    "fr": "fr",
    "he": "he",
    "hi": "hi",
    "hr": "hr",
    "hu": "hu",
    "it": "it",
    "jp": "ja",
    "ko": "ko",
    "lt": "lt",
    "lv": "lv",
    "mk": "mk",
    "mo": "ro_MD",
    "mx": "es_MX",
    "nl": "nl",
    "no": "nb",
    "pl": "pl",
    "pr": "pt",
    "ro": "ro",
    "ru": "ru",
    "sc": "sr",
    "sk": "sk",
    "sl": "sl",
    "sr": "sr_Latn",
    "sv": "sv",
    "th": "th",
    "tr": "tr",
    "uk": "uk",
    "vi": "vi",
}

LANGUAGES = frozenset(_LOCALES)


@cache
def language_names(language: str) -> dict[str, str]:
    """Returns the names of all languages by code, in a language."""
    return {code: str(Locale.parse(locale).get_display_name(_LOCALES[language])) for code, locale in _LOCALES.items()}
