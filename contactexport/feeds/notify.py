"""Tells the receiver of a feed what no export tells: that the feed is late, or has paused itself.

As for exports: the next due time is written before anything is sent, so it may be sent twice, with the same
Idempotency-Key.
"""

from collections.abc import Sequence

from contactexport import audit
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.delivery import webhook
from contactexport.errors import DeliveryFailed, SecretUnreadable, SettingsError
from contactexport.feeds import status, store

MAX_DUE = 100


def due(conn: Connection) -> list[int]:
    """Ids of at most MAX_DUE events, those first whose notification has been due longest."""
    return [row["id"] for row in queries("feed").due_events(conn, most=MAX_DUE)]


def notify(
    context: Context, event_id: int, delays: Sequence[float], answer_seconds: float = webhook.ANSWER_SECONDS
) -> None:
    """Sends one event if it is due, and stores the result. `delays` are the seconds to the next attempt, by attempt.

    Raises DatabaseUnavailable.
    """
    with context.database.transaction() as conn:
        event = queries("feed").claim_event(conn, id=event_id, delays=list(delays))
        feed = event and store.find(conn, event["feed_id"])
    if feed is None:
        return
    fence = {"id": event_id, "notify_attempts": event["notify_attempts"]}
    try:
        webhook.notify(
            context,
            feed,
            webhook.Notification(
                payload=status.event_payload(context, feed, event["event"], event["reason"], event["happened_at"]),
                idempotency_key=f"feed-event-{event_id}",
                signing_key=context.secrets.derived_key("notification"),
            ),
            answer_seconds,
        )
    except (DeliveryFailed, SecretUnreadable, SettingsError) as failure:
        limit = context.settings.notification_limit
        with context.database.transaction() as conn:
            queries("feed").note_event_failed(conn, **fence, error=failure.text, limit=limit)
        audit.note("notification failed", feed=feed.name, notice=event["event"], error=failure.text)
    else:
        with context.database.transaction() as conn:
            queries("feed").note_event_sent(conn, **fence)
        audit.note("notification sent", feed=feed.name, notice=event["event"])
