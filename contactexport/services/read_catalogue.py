"""The catalogue as it is now, without reading it anew for each request."""

from contactexport.backend import Backend
from contactexport.db import catalogue_repository
from contactexport.models import Catalogue


def note_version(backend: Backend, version: int) -> None:
    """Takes in the version that `database` had a moment ago, which counts unless the contacts are in another one."""
    if backend.contacts is backend.database:
        backend.catalogue.note_version(version)


def version_to_check(backend: Backend, catalogue: Catalogue) -> int | None:
    """What `database` has as long as this catalogue is up to date; None when the contacts are in another one."""
    return catalogue.version if backend.contacts is backend.database else None


def current(backend: Backend) -> Catalogue:
    """All origins and fields, at least as new as the version noted by this request. Raises DatabaseUnavailable."""
    if backend.contacts is not backend.database:
        with backend.contacts.autocommit() as conn:
            backend.catalogue.note_version(catalogue_repository.version(conn))
    return backend.catalogue.current() or _read(backend)


def _read(backend: Backend) -> Catalogue:
    with backend.contacts.autocommit() as conn:
        catalogue = catalogue_repository.read(conn)
    backend.catalogue.keep(catalogue)
    return catalogue
