"""Counts the running downloads of each user in this process. A process that dies takes its counts with it."""

import threading
from collections import defaultdict
from collections.abc import Callable

from contactexport.errors import TooManyRequests

# Half of the threads of serving/gunicorn_conf.py. The others answer everything else.
MAX_DOWNLOADS = 100
RETRY_SECONDS = 10


class RunningDownloads:
    """The downloads that are running now, by user."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, set[object]] = defaultdict(set)

    def begin(self, user_name: str, most: int, refusal: str | None = None) -> Callable[[], None]:
        """Counts one more download. Returns the function that ends it, which may be called twice.

        Other work that keeps a thread busy counts too, under a name of its own. `refusal` then says what is running.
        Raises TooManyRequests if the user has `most` running, or if all users together have MAX_DOWNLOADS.
        """
        download = object()
        with self._lock:
            if len(self._running.get(user_name, ())) >= most:
                refusal = refusal or f"{most} downloads of this user are running, which is the limit"
                raise TooManyRequests(refusal, RETRY_SECONDS)
            if sum(map(len, self._running.values())) >= MAX_DOWNLOADS:
                raise TooManyRequests("Too many downloads are running now", RETRY_SECONDS)
            self._running[user_name].add(download)

        def end() -> None:
            with self._lock:
                running = self._running.get(user_name, set())
                running.discard(download)
                if not running:
                    self._running.pop(user_name, None)

        return end
