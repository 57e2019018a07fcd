"""The link that `flask serve` prints, so that whoever started the service is signed in without a token."""

from contextlib import suppress

from contactexport import audit
from contactexport.console.session import new_one_time_link
from contactexport.context import Context
from contactexport.db.queries import queries
from contactexport.errors import UsageError
from contactexport.users import manage
from contactexport.users.store import Rights

OPERATOR_NAME = "operator"
LINK_SECONDS = 900.0


def operator_link(context: Context) -> str:
    """Returns the path of a page that signs in the user `operator`, once, within LINK_SECONDS.

    Adds the user if there is none. Raises UsageError if the name belongs to somebody who is no operator.
    """
    # Its token is shown to nobody. `flask users rotate operator` makes one that is.
    rights = Rights(operator=True)
    with suppress(UsageError):
        new = manage.add_user(context, OPERATOR_NAME, with_wsse=False, with_token=True, rights=rights)
        audit.note("user added", by="command line", added=OPERATOR_NAME, kinds=new.kinds, **manage.told(rights, None))
    with context.database.transaction() as conn:
        user_id = queries("console_link").find_operator(conn, name=OPERATOR_NAME)
        if user_id is None:
            raise UsageError(f"User {OPERATOR_NAME!r} is no operator: sign in to the console with a token")
        link = new_one_time_link(conn, user_id, LINK_SECONDS)
    audit.note("console link made", by="command line", changed=OPERATOR_NAME, seconds=round(LINK_SECONDS))
    return f"/console/sign-in/once/{link}"
