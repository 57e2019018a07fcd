"""What users may not do."""

from contactexport.errors import ContactExportError


class ReadOnly(ContactExportError):
    """A viewer sees everything and changes nothing."""

    http_status = 403

    def __init__(self) -> None:
        super().__init__("This user is a viewer, who changes nothing. An operator can")
