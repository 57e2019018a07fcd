"""What a file holds: the header and the rows of the contacts that changed."""

from contextlib import ExitStack, closing
from functools import partial

from contactexport import export_csv
from contactexport.db import changed_contact_repository
from contactexport.db.changed_contact_repository import Extent, IdRange, Selection
from contactexport.part_file import PartFile, Piece
from contactexport.services.read_in_ranges import Readers


def write(readers: Readers, selection: Selection, extent: Extent, to: PartFile) -> int:
    """Writes the rows in the order of contact ids; returns how many."""
    settings = selection.settings
    if settings.spreadsheet:
        names = export_csv.column_names(selection.fields, settings.language) if settings.header else None
        rows = changed_contact_repository.read(readers.sessions[0], selection)
        return export_csv.write_spreadsheet(names, rows, settings.delimiter, to)
    if settings.header:
        to.write(export_csv.header(selection.fields, settings.language, settings.delimiter))
    with readers.joined(len(extent.ranges)) as joined:
        return _write_ranges(readers, selection, extent.ranges if joined else (IdRange(),), to)


def _write_ranges(readers: Readers, selection: Selection, ranges: tuple[IdRange, ...], to: PartFile) -> int:
    """The first range is written where it belongs, the others into pieces that are appended when it is their turn."""
    with ExitStack() as opened:
        files: list[Piece] = [to, *(opened.enter_context(to.new_piece()) for _ in ranges[1:])]
        copies = [
            partial(changed_contact_repository.copy, session, selection, ids, file)
            for session, ids, file in zip(readers.sessions, ranges, files, strict=True)
        ]

        def go_on(number: int) -> None:
            if number:
                to.take_over(files[number])
            to.flush_early()

        rows = 0
        with closing(readers.run(copies, go_on)) as written:
            for number, written_rows in enumerate(written):
                rows += written_rows
                if number:
                    to.append(files[number])
        return rows
