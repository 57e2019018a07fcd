"""Finished files as objects of S3, Google Cloud Storage or Azure Blob Storage, through obstore.

The attempt's number is in the name of an object, and the export's row says which one counts. So a stale attempt
replaces nothing. An upload shows only once it is completed. If the process dies before, or before the row says so, the
sweep removes what is left.
"""

import io
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import cached_property, partial
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import obstore
from obstore.store import ObjectStore, from_url

from contactexport import crash_points
from contactexport.errors import FileDamaged, SettingsError, StorageUnfit
from contactexport.files.export_file import WrittenFile
from contactexport.files.object_errors import translated
from contactexport.files.object_file import PART_BYTES, PARTS_IN_FLIGHT, READ_BYTES, ObjectFile, ObjectReader
from contactexport.files.storage import MARKER, StoredFile
from contactexport.files.unfinished_uploads import UnfinishedUploads
from contactexport.files.writer import RowsFile

CSV = "text/csv; charset=utf-8"
# Of one request: a part must be sent within it, so this is the slowest line too (140 KB/s).
REQUEST_SECONDS = 60
RETRIES = 4
RETRY_SECONDS = 30
# For what somebody waits for, such as /readyz.
QUICK_SECONDS, QUICK_RETRIES = 5, 1
LIST_ROWS = 1000
SWEEPS_A_LOOK = 10
ACCOUNT = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_ACCOUNT_NAME")

logger = logging.getLogger(__name__)


class ObjectStorage:
    """A bucket or container, and a prefix in it. Credentials and endpoint come from the environment.

    Raises SettingsError if they cannot be right.
    """

    kind = "object store"
    noun = "bucket or prefix"
    advice = "correct CONTACTEXPORT_STORAGE"
    doubt = "is CONTACTEXPORT_STORAGE the right one?"
    joins_segments = False

    def __init__(self, url: str) -> None:
        self.place = url
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._look_at = 0.0
        self._uploads: dict[str, str] = {}
        self._told_of_uploads = False
        config = {}
        if parts.scheme == "az":
            account = next((os.environ[name] for name in ACCOUNT if os.environ.get(name)), None)
            if account is None:
                raise SettingsError(f"CONTACTEXPORT_STORAGE is {url!r}: {ACCOUNT[0]} is not set")
            config["account_name"] = account
        # Plain HTTP only to an endpoint that the operator has given so.
        http = any("ENDPOINT" in name and value.startswith("http://") for name, value in os.environ.items())
        self._open = partial(_open_store, url, config, http)

    @cached_property
    def _store(self) -> ObjectStore:
        return self._open(REQUEST_SECONDS, RETRIES)

    @cached_property
    def _quick(self) -> ObjectStore:
        return self._open(QUICK_SECONDS, QUICK_RETRIES)

    @cached_property
    def _unfinished(self) -> UnfinishedUploads | None:
        return UnfinishedUploads.from_environment(self._bucket, os.environ) if self.place.startswith("s3:") else None

    def write(
        self,
        file_name: str,
        attempt: int,
        *,
        write_content: Callable[[RowsFile], int],
        before_publish: Callable[[], None],
        on_rows: Callable[[int], None] | None = None,
    ) -> WrittenFile:
        """Uploads in parts, and completes the upload at the end. Aborts it on any exception.

        Raises StorageUnfit for an outage, OSError if the store refuses, and what the functions raise.
        """
        name = f"{file_name}.{attempt}"
        attributes = {"Content-Type": CSV, "Content-Disposition": f'attachment; filename="{file_name}"'}
        upload = obstore.open_writer(
            self._store, name, attributes=attributes, buffer_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT
        )
        file = ObjectFile(upload, self.place, attempt, on_rows)
        try:
            rows = write_content(file)
            file.flush()
            crash_points.reach("file written", attempt)
            before_publish()
            crash_points.reach("file may appear", attempt)
        except BaseException as error:
            with suppress(Exception):  # if the store does not answer, the sweep aborts it later
                upload.__exit__(type(error), error, error.__traceback__)
            raise
        with translated(self.place):
            upload.close()
        crash_points.reach("file named", attempt)
        content = file.flushed
        if (found := self._size(name)) != content.bytes:
            raise OSError(f"the object store has {found} bytes of {content.bytes}")
        return WrittenFile(rows, content.bytes, content.digest.hexdigest(), content.row_index, name)

    def put_beside(self, file_name: str, attempt: int, content: bytes, before_publish: Callable[[], None]) -> None:
        """Writes a small object in one request. Its content depends on its name only, so it may be replaced."""
        crash_points.reach("file written", attempt)
        before_publish()
        crash_points.reach("file may appear", attempt)
        with translated(self.place):
            obstore.put(self._store, file_name, content, use_multipart=False)
        crash_points.reach("file named", attempt)

    def open_finished(self, name: str, size: int | None) -> BinaryIO:
        """The object, if it has this size. Raises FileDamaged, and StorageUnfit if the store does not answer."""
        try:
            found = self._size(name)
        except FileNotFoundError:
            raise FileDamaged("The finished file is missing from the object store") from None
        except OSError as error:
            raise FileDamaged(f"The finished file cannot be opened: {error.strerror}") from None
        if found != size:
            raise FileDamaged(
                f"The finished file in the object store is damaged: {size} bytes expected, {found} bytes found"
            )
        return io.BufferedReader(ObjectReader(self._store, self.place, name, found), READ_BYTES)

    def delete(self, name: str) -> bool:
        """Deletes an object. False if that is refused, which is logged. Raises StorageUnfit for an outage."""
        try:
            with translated(self.place):
                obstore.delete(self._store, name)
        except FileNotFoundError:
            return True
        except OSError as error:
            logger.warning("file not deleted: %s: %s", name, error.strerror)
            return False
        return True

    def is_time_to_look(self, sweep_interval: float) -> bool:
        """True once in ten sweeps of this process, because stores charge for listing."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + SWEEPS_A_LOOK * sweep_interval
        return True

    def discard(self, file: StoredFile) -> bool:
        """Deletes an object, or aborts an upload. Raises StorageUnfit for an outage."""
        if not file.unfinished or self._unfinished is None:
            return self.delete(file.name)
        try:
            self._unfinished.abort(self._key(file.name), self._uploads[file.name])
        except StorageUnfit as unfit:
            logger.warning("upload not aborted: %s: %s", file.name, unfit.text)
            return False
        return True

    def list(self) -> Iterator[StoredFile]:
        """The objects below the prefix, and uploads that were not completed, if the store tells them.

        Without the right to list uploads, orphaned objects are found all the same.
        """
        with translated(self.place):
            for batch in obstore.list(self._store, chunk_size=LIST_ROWS):
                for one in batch:
                    yield StoredFile(one["path"], one["size"])
        if self._unfinished is not None:
            prefix = self._key("")
            try:
                self._uploads = {key.removeprefix(prefix): upload for key, upload in self._unfinished.list(prefix)}
            except StorageUnfit as unfit:
                self._uploads = {}
                if not self._told_of_uploads:
                    logger.warning("unfinished uploads are not found (docs/operations.md): reason=%s", unfit.text)
                self._told_of_uploads = True
            yield from (StoredFile(name, 0, unfinished=True) for name in self._uploads)

    def signed_url(self, name: str, seconds: int) -> str:
        """A URL that reads the object. Raises StorageUnfit, OSError."""
        store: Any = self._store  # one of the three that sign
        with translated(self.place):
            return str(obstore.sign(store, "GET", name, timedelta(seconds=seconds)))

    def read_marker(self) -> str | None:
        """The marker is an object too. Raises StorageUnfit."""
        try:
            with translated(self.place):
                content = bytes(obstore.get(self._quick, MARKER).bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageUnfit(f"The object store {self.place} cannot be read: {error.strerror}", "denied") from None
        return content.decode("ascii", "replace").strip()

    def write_marker(self, installation: str) -> None:
        """Writes it in one request. Creates no bucket. Raises StorageUnfit."""
        try:
            with translated(self.place):
                obstore.put(self._quick, MARKER, f"{installation}\n".encode(), use_multipart=False)
        except OSError as error:
            raise StorageUnfit(f"The object store {self.place} cannot be written: {error.strerror}", "denied") from None

    def exists(self) -> bool:
        """True: a bucket that is missing is an error of `read_marker`."""
        return True

    def space(self) -> None:
        """None: stores do not tell."""

    def _size(self, name: str) -> int:
        with translated(self.place):
            return int(obstore.head(self._store, name)["size"])

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


def _open_store(url: str, config: dict[str, str], http: bool, seconds: int, retries: int) -> ObjectStore:
    options: Any = {"timeout": f"{seconds}s", "connect_timeout": f"{QUICK_SECONDS}s", "allow_http": http}
    retry: Any = {"max_retries": retries, "retry_timeout": timedelta(seconds=min(RETRY_SECONDS, 2 * seconds))}
    given: Any = config
    return from_url(url, config=given, client_options=options, retry_config=retry)
