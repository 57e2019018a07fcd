"""The interface of every distribution method."""

from typing import BinaryIO, Protocol

from contactexport.exports.models import Export


class Delivery(Protocol):
    """Delivers a finished file."""

    # True if the copy in the storage folder is of no use after the delivery.
    consumes_file: bool

    def deliver(self, export: Export, file: BinaryIO) -> str | None:
        """Delivers the opened file under the file name of the export, complete or not at all. May be repeated.

        Returns the last reply of a receiver on another computer, else None.

        Raises DeliveryFailed, which says whether a retry can help, and ExportLost after `abort`.
        """

    def deliver_manifest(self, export: Export) -> None:
        """Delivers the manifest of the export beside the file, which is there already. Otherwise like `deliver`.

        Whoever sees it may rely on the file being complete.
        """

    def abort(self) -> None:
        """Stops a `deliver` in another thread soon. Nothing appears under the final name."""
