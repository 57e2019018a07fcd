"""The system fields of the original: ids, names, types, choices, and what other programs call them.

Their records stand in embedded/catalogue, with names and labels in English, German, French, Hungarian and Spanish.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from contactexport.catalogue import STRING_IDS

FOLDER = Path(__file__).parent / "embedded" / "catalogue"
FIRST_CUSTOM_ID = 100_000
_TYPES = (
    "birthdate date fax interests largetext longtext multichoice numeric shorttext singlechoice special url voucher"
)
APPLICATION_TYPES = tuple(_TYPES.split())

# Names of columns in other programs, without capitals and anything but letters and digits.
_OTHER_NAMES = {
    1: "fname forename givenname namefirst vorname prenom billingfirstname",
    2: "lname surname familyname namelast nachname nomdefamille billinglastname",
    3: "mail emailaddress mailaddress emailaddr useremail customeremail contactemail",
    4: "birthday birthdate bday dob dateofbirth geburtstag geburtsdatum birthdayat",
    5: "sex geschlecht sexe",
    6: "maritalstate familystatus",
    9: "academictitle nametitle",
    10: "street streetaddress address1 addressline1 addressline strasse billingaddress",
    11: "town ort stadt ville cityname billingcity",
    12: "region province bundesland billingstate",
    13: "zip postcode postalcode plz zipcode postal billingzip billingpostcode",
    14: "countrycode countryname countryiso land pays billingcountry",
    15: "telephone phonenumber tel telefon phoneno",
    16: "faxnumber telefax",
    17: "jobtitle position",
    18: "companyname organisation organization employer firma firm",
    20: "sector branche",
    21: "workphone officephone businessphone phonework",
    25: "website homepage webpage weburl",
    31: "optin optedin newsletteroptin emailoptin marketingoptin acceptsmarketing",
    35: "language lang locale languagecode preferredlanguage sprache langue",
    37: "mobilephone cell cellphone mobilenumber handy",
    46: "honorific anrede prefix",
    48: "datejoined registeredat signupdate signedupat createdat dateregistered registrationdate",
}


@dataclass(frozen=True)
class SystemField:
    """A field that every installation may have. `choices` maps ids to labels by language."""

    id: int
    name: str
    application_type: str
    column_name: str
    exportable: bool
    names: Mapping[str, str]
    choices: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


@cache
def system_fields() -> Mapping[int, SystemField]:
    """All of them by id."""
    fields = json.loads((FOLDER / "fields.json").read_text(encoding="utf-8"))
    choices = {
        field_id: {choice["id"]: choice["labels"] for choice in group["choices"]}
        for group in json.loads((FOLDER / "choices.json").read_text(encoding="utf-8"))
        for field_id in group["field_ids"]
    }
    return {
        one["id"]: SystemField(**one, choices=choices.get(one["id"], {})) for one in fields if one["id"] in STRING_IDS
    }


@cache
def fields_by_name() -> Mapping[str, SystemField]:
    """The fields by each of their names: `folded`, in any language, and as other programs call them."""
    found: dict[str, SystemField] = {}
    for number, one in system_fields().items():
        for name in (one.column_name, STRING_IDS[number], one.name, *one.names.values()):
            found.setdefault(folded(name), one)
        for name in _OTHER_NAMES.get(number, "").split():
            found.setdefault(name, one)
    return found


def find(name: str) -> SystemField | None:
    """The field with this id or name, in any language or as other programs call it.

    >>> find("given_name").name
    'First Name'
    """
    return system_fields().get(int(name)) if name.isascii() and name.isdigit() else fields_by_name().get(folded(name))


def folded(name: str) -> str:
    """Without case, blanks and punctuation: `E-Mail` and `e_mail` are one name."""
    return re.sub(r"[\W_]", "", name.casefold())


def readable(name: str) -> str:
    """A column's name as a field's name: `shoe_size` is "Shoe size"."""
    words = re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).strip()
    return words[:1].upper() + words[1:].lower() if words else name
