"""What the services work with: settings, databases, queue, secret box and network guard of one process, built once."""

import threading
from dataclasses import dataclass, field
from functools import cached_property

from contactexport.catalogue import CachedCatalogue
from contactexport.db.connection import Database
from contactexport.files.folder import FolderStorage
from contactexport.files.storage import Storage
from contactexport.hosts.guard import NetworkGuard
from contactexport.queue.publisher import ExportQueue
from contactexport.secrets.box import SecretBox
from contactexport.setting_values import ObjectStoreUrl
from contactexport.settings import Settings
from contactexport.users.rate_limit import RateLimitReserve
from contactexport.users.running_downloads import RunningDownloads


@dataclass(frozen=True)
class Context:
    """`database` has exports and users. `contacts` has catalogue, contacts and changes, and is often the same one.

    `stopping` is set once this process is to end. It then hands back the export it works on.
    """

    settings: Settings
    database: Database
    contacts: Database
    queue: ExportQueue
    secrets: SecretBox
    guard: NetworkGuard
    stopping: threading.Event = field(default_factory=threading.Event)
    told: dict[str, str | None] = field(default_factory=dict)  # reasons that were logged, so that each is only once
    rate_limit_reserve: RateLimitReserve = field(default_factory=RateLimitReserve)
    downloads: RunningDownloads = field(default_factory=RunningDownloads)

    @cached_property
    def catalogue(self) -> CachedCatalogue:
        """The catalogue of the contacts, cached."""
        return CachedCatalogue(self.contacts, version_is_noted=self.contacts is self.database)

    @cached_property
    def storage(self) -> Storage:
        """Where finished files are stored."""
        if isinstance(self.settings.storage, ObjectStoreUrl):
            from contactexport.files.object_store import ObjectStorage

            return ObjectStorage(self.settings.storage)
        return FolderStorage(self.settings.storage_dir)

    @property
    def databases(self) -> tuple[Database, ...]:
        """Each database once."""
        return (self.database,) if self.contacts is self.database else (self.database, self.contacts)
