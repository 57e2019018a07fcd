"""The language codes an export may ask for (Emarsys API, "Language Codes"), in lower case."""

_CODES = """
ar bg bp cn cz de dk el en es et fi fr he hi hr hu it jp ko lt lv mk mo mx nl no pl pr ro ru sc sk sl sr sv th tr uk vi
"""

LANGUAGES = frozenset(_CODES.split())
