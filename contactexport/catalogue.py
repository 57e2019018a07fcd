"""The catalogue: which contact fields, choices and origins there are. Cached by each process."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from contactexport.db.connection import Connection, Database
from contactexport.db.queries import queries

# The original's names for its system fields, in the order of their ids, from 0 on (`string_id` in GET /field).
_SYSTEM_FIELDS = """
    interests first_name last_name email birth_date gender marital_status children education title address city state
    zip_code country phone fax company_position company_name company_department company_industry company_phone
    company_fax company_employees company_annual_revenue url preferred_email_format average_visit_duration
    pageviews_per_day days_since_last_email_sent response_rate optin status source form registration_language newsletter
    mobile partner_first_name partner_birth_date anniversary company_address company_zip_code company_city company_state
    company_country salutation email_valid registration_date
"""
STRING_IDS = dict(enumerate(_SYSTEM_FIELDS.split()))

# Triggers raise the version. Replication into a database of contacts may skip them, so a cached copy also expires.
MAX_AGE_SECONDS = 60


@dataclass(frozen=True)
class ContactField:
    """A field of the catalogue and the column it stands for. `names` maps a language code to the field's name."""

    id: int
    name: str
    application_type: str
    column_name: str
    exportable: bool
    names: Mapping[str, str]

    def name_in(self, language: str) -> str:
        """The name in this language. If there is none, the English name, then `name`."""
        return self.names.get(language) or self.names.get("en") or self.name


@dataclass(frozen=True)
class Origin:
    """A form or an API source that contacts come from."""

    kind: str
    id: int
    name: str


@dataclass(frozen=True)
class Catalogue:
    """All origins and contact fields at one moment. Each change of them raises `version`, and so does pruning the log.

    The change log is complete from `complete_from` on. None: nothing was ever dropped from it. Removals are logged from
    `removals_from` on. None: from the beginning.
    """

    origins: tuple[Origin, ...]
    fields: Mapping[int, ContactField]
    version: int = 0
    complete_from: datetime | None = None
    removals_from: datetime | None = None

    @classmethod
    def read(cls, conn: Connection) -> "Catalogue":
        """The whole catalogue. The version is read first, so that a change in the meantime makes the copy stale."""
        version = int(queries("catalogue").version(conn))
        origins = tuple(Origin(**row) for row in queries("catalogue").list_origins(conn))
        fields = {row["id"]: ContactField(**row) for row in queries("catalogue").list_fields(conn)}
        horizon = queries("catalogue").log_horizon(conn)
        return cls(origins, fields, version, horizon["complete_from"], horizon["removals_from"])

    def has_origin(self, kind: str, origin_id: int) -> bool:
        """True when a form or an API source has this id."""
        return any(one.kind == kind and one.id == origin_id for one in self.origins)

    def complete_only_from(self, start: datetime) -> datetime | None:
        """Where a window that begins at `start` becomes complete. None: it is complete from `start` on."""
        return self.complete_from if self.complete_from is not None and start < self.complete_from else None

    def removals_only_from(self, start: datetime) -> datetime | None:
        """From when on removals of a window that begins at `start` are known. None: from `start` on."""
        return self.removals_from if self.removals_from is not None and start < self.removals_from else None

    def is_exportable(self, field_id: int) -> bool:
        """True when the field exists and may be exported (contract: all but 27, 28, 29, 32 and 33)."""
        return field_id in self.fields and self.fields[field_id].exportable


def list_choices(conn: Connection, field_id: int, language: str) -> list[tuple[int, str]]:
    """Id and label of a field's choices, by id. The label is in this language, else in English, else the id."""
    return [
        (row["id"], row["labels"].get(language) or row["labels"].get("en") or str(row["id"]))
        for row in queries("catalogue").list_choices(conn, field_id=field_id)
    ]


class CachedCatalogue:
    """A copy of the catalogue that the threads of a process share. It is stale once a newer version was seen.

    `version_is_noted`: the exports are in the same database as the contacts. The query that authenticates a request
    then reads the version too, and passes it to `note_version`. Otherwise `current` asks for it each time.
    """

    def __init__(self, contacts: Database, *, version_is_noted: bool) -> None:
        self._contacts = contacts
        self._version_is_noted = version_is_noted
        self._lock = threading.Lock()
        self._newest_version = 0
        self._copy: tuple[Catalogue, float] | None = None  # with the time (monotonic) at which it expires

    def note_version(self, version: int) -> None:
        """Makes an older copy stale. The version must come from the database of the exports."""
        if self._version_is_noted:
            with self._lock:
                self._newest_version = max(self._newest_version, version)

    def current(self) -> Catalogue:
        """The catalogue, at least as new as the last version noted. Raises DatabaseUnavailable."""
        if not self._version_is_noted:
            with self._contacts.autocommit() as conn:
                version = int(queries("catalogue").version(conn))
            with self._lock:
                self._newest_version = max(self._newest_version, version)
        copy = self._copy
        if copy is not None and copy[0].version >= self._newest_version and time.monotonic() < copy[1]:
            return copy[0]
        with self._contacts.autocommit() as conn:
            catalogue = Catalogue.read(conn)
        self._copy = (catalogue, time.monotonic() + MAX_AGE_SECONDS)
        return catalogue
