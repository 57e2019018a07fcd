"""What the services work with: settings, databases, queue, secret box and network guard of one process, built once."""

import threading
from dataclasses import dataclass, field

from contactexport.db.connection import Database
from contactexport.export_queue import ExportQueue
from contactexport.kept_catalogue import KeptCatalogue
from contactexport.network_guard import NetworkGuard
from contactexport.request_permits import RequestPermits
from contactexport.running_downloads import RunningDownloads
from contactexport.secret_box import SecretBox
from contactexport.settings import Settings


@dataclass(frozen=True)
class Backend:
    """`database` holds exports and users; `contacts` holds catalogue, contacts and changes (often the same one).

    `stopping` is set once this process is to end: it then hands back the export it works on.
    """

    settings: Settings
    database: Database
    contacts: Database
    queue: ExportQueue
    secrets: SecretBox
    guard: NetworkGuard
    stopping: threading.Event = field(default_factory=threading.Event)
    told: dict[str, str | None] = field(default_factory=dict)  # reasons that were logged, so that each is only once
    permits: RequestPermits = field(default_factory=RequestPermits)
    downloads: RunningDownloads = field(default_factory=RunningDownloads)
    catalogue: KeptCatalogue = field(default_factory=KeptCatalogue)

    @property
    def databases(self) -> tuple[Database, ...]:
        """Each database once."""
        return (self.database,) if self.contacts is self.database else (self.database, self.contacts)
