"""How many downloads each user has running in this process. One that dies takes its count with it."""

import threading
from collections import defaultdict
from collections.abc import Callable

from contactexport.errors import TooManyRequests

# Half of the threads of config/gunicorn.py; the others answer everything else.
MOST_DOWNLOADS = 100
RETRY_SECONDS = 10


class RunningDownloads:
    """Counts them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, set[object]] = defaultdict(set)

    def begin(self, user_name: str, most: int) -> Callable[[], None]:
        """Counts one more download; the function that is returned ends it, and may be called twice.

        Raises TooManyRequests when the user has `most` running, or all users together have MOST_DOWNLOADS.
        """
        download = object()
        with self._lock:
            if len(self._running.get(user_name, ())) >= most:
                raise TooManyRequests(f"{most} downloads are running: no more at a time", RETRY_SECONDS)
            if sum(map(len, self._running.values())) >= MOST_DOWNLOADS:
                raise TooManyRequests("Too many downloads are running now", RETRY_SECONDS)
            self._running[user_name].add(download)

        def end() -> None:
            with self._lock:
                running = self._running.get(user_name, set())
                running.discard(download)
                if not running:
                    self._running.pop(user_name, None)

        return end
