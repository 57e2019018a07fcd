"""Distribution method `local`: the file stays in the storage folder, where it already is."""

from pathlib import Path

from contactexport.errors import DeliveryFailed
from contactexport.models import Export


class LocalDelivery:
    """Checks that the file is there and whole."""

    consumes_file = False

    def deliver(self, export: Export, file: Path) -> None:
        """Raises DeliveryFailed when the file is gone or has another size than written."""
        try:
            found = file.stat().st_size
        except OSError as error:
            raise DeliveryFailed(f"The file is not in the storage folder: {error.strerror}", permanent=True) from error
        if found != export.bytes:
            raise DeliveryFailed(f"The file has {found} bytes, {export.bytes} expected", permanent=True)

    def abort(self) -> None:
        """Nothing takes long here."""
