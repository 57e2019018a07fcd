"""Creates what the catalogue of an empty installation lacks of a file: its origin and the fields of its header."""

from collections.abc import Sequence

from contactexport import system_fields
from contactexport.catalogue import Catalogue
from contactexport.contact_import.header import FieldNames
from contactexport.contacts import fields, origins
from contactexport.contacts.fields import NewField
from contactexport.db.connection import Connection


def create_missing(conn: Connection, catalogue: Catalogue, origin: tuple[str, int], header: Sequence[str]) -> Catalogue:
    """Creates the origin and the fields that are missing, and returns the catalogue that has them.

    Known names become system fields, others custom fields of text. A number is left alone unless it is the id of a
    system field: nothing tells what it would be.
    """
    if not catalogue.has_origin(*origin):
        origins.add(conn, *origin, f"{origin[0]} {origin[1]}")
    for cell in map(str.strip, header):
        if cell and not FieldNames(catalogue, other_programs=True).knows(cell):
            system = system_fields.find(cell)
            if system is not None and system.exportable:
                fields.add(conn, NewField.of_system(system))
            elif not cell.isdigit():
                fields.add(conn, fields.custom(catalogue, cell))
            catalogue = Catalogue.read(conn)
    return Catalogue.read(conn)
