"""What every distribution method offers: one verb."""

from typing import BinaryIO, Protocol

from contactexport.models import Export


class Delivery(Protocol):
    """Hands a finished file over."""

    # True when the copy in the storage folder has served its purpose once delivered.
    consumes_file: bool

    def deliver(self, export: Export, file: BinaryIO) -> str | None:
        """Delivers the opened file under the export's file name, complete or not at all; may be repeated.

        Returns the last reply of a receiver on another computer.

        Raises DeliveryFailed, which says whether trying again can help, and ExportLost after `abort`.
        """

    def abort(self) -> None:
        """Makes a `deliver` that is running in another thread stop soon, with nothing under the final name."""
