"""What the console refuses."""

from contactexport.errors import ContactExportError


class Forbidden(ContactExportError):
    """The user is signed in and may not do this."""

    http_status = 403
