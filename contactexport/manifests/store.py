"""What Postgres knows for manifests: the keys, of which one signs, and the place of an export in its feed."""

from datetime import datetime
from typing import Any

from contactexport import audit
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.exports.models import ALL_TIME, Export
from contactexport.files.export_file import WrittenFile
from contactexport.files.writer import RowIndex
from contactexport.manifests.manifest import FeedRun, FileContent, build, shown, with_delivered
from contactexport.manifests.signing import SigningKey, key_id, key_set


def current_key(context: Context, conn: Connection) -> SigningKey:
    """The key that signs now. The first is made when it is needed. Raises SecretUnreadable, SettingsError."""
    stored = queries("manifest").current_key(conn)
    if stored is None:
        add_key(context, conn)
        stored = queries("manifest").current_key(conn)
    return SigningKey.from_text(context.secrets.decrypt(bytes(stored)))


def require_readable(context: Context, conn: Connection) -> None:
    """Raises SecretUnreadable if there is a key that signs, and it cannot be read."""
    stored = queries("manifest").current_key(conn)
    if stored is not None:
        context.secrets.decrypt(bytes(stored))


def rotate_key(context: Context) -> str:
    """Replaces the key by a new one and returns its id. The old private key is erased, the public one stays.

    What the old key has signed stays verifiable. An export that is being written may still be signed with it.
    Raises SettingsError.
    """
    with context.database.transaction() as conn:
        retired = queries("manifest").lock_current_key(conn)
        if retired is not None:
            queries("manifest").retire_key(conn, id=retired)
        add_key(context, conn)
        made = key_id(current_key(context, conn).public)
    audit.note("manifest key made", key=made)
    return made


def add_key(context: Context, conn: Connection) -> None:
    """Stores a new key, unless there is one that signs."""
    key = SigningKey.new()
    queries("manifest").add_key(conn, public_key=key.public, private_key=context.secrets.encrypt(key.to_text()))


def public_key_set(context: Context) -> dict[str, Any]:
    """The public keys as a JWK Set, oldest first, for `contactexport verify`. The first is made if none exists."""
    with context.database.transaction() as conn:
        if queries("manifest").current_key(conn) is None:
            add_key(context, conn)
        rows = list(queries("manifest").public_keys(conn))
    return key_set(
        [bytes(row["public_key"]) for row in rows],
        made_at=[shown(row["made_at"]) for row in rows],
        retired_at=[shown(row["retired_at"]) for row in rows],
    )


def signed_on_request(context: Context, conn: Connection, export: Export, now: datetime) -> str | None:
    """The manifest of an export that is done. That of a single one is signed `now`, and has the same bytes ever after.

    None: the export is from before there were manifests. Raises SecretUnreadable, SettingsError.
    """
    if export.manifest is not None or export.columns is None:
        return export.manifest
    written = WrittenFile(export.rows or 0, export.bytes or 0, export.sha256 or "", RowIndex())
    window = None if export.settings.type == "full" else export.settings.start, export.effective_until or ALL_TIME[1]
    content = FileContent(
        export.id, export.file_name, window, export.complete_from, export.columns, export.removed or 0, written
    )
    key = current_key(context, conn)
    made = build(content, None, key, now)
    if export.delivered is not None:
        made = with_delivered(made, export.delivered, key)
    return str(queries("manifest").keep_manifest(conn, id=export.id, manifest=made))


def manifest_of(conn: Connection, export: Export, content: FileContent, key: SigningKey) -> str:
    """The manifest of the file that this run of a feed has just written."""
    place = queries("manifest").place_in_feed(conn, id=export.id)
    run = FeedRun(
        export.feed_id or 0,
        export.feed_name or "",
        export.feed_sequence or 0,
        previous=place["previous"],
        reset=place["reset"],
        supersedes=place["supersedes"],
    )
    return build(content, run, key, place["made_at"])
