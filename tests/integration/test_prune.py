"""`flask contacts prune` drops whole months of the change log and holds nobody up."""

from datetime import UTC, datetime

from exporting import add_contact, change, execute, other_session

JANUARY = datetime(2012, 1, 15, tzinfo=UTC)
MARCH = datetime(2012, 3, 15, tzinfo=UTC)


def months(backend):
    rows = execute(backend, "SELECT relname FROM pg_class WHERE relname ~ '^contact_change_2012_[0-9]+$' ORDER BY 1")
    return [row["relname"] for row in rows]


def logged(backend):
    return [row["changed_at"] for row in execute(backend, "SELECT changed_at FROM contact_change ORDER BY 1")]


def two_months(backend):
    execute(backend, "SELECT contact_change_months('2012-01-01', '2012-03-01')")
    contact_id = add_contact(backend)
    change(backend, contact_id, JANUARY)
    change(backend, contact_id, MARCH)


def test_months_that_ended_before_are_dropped_and_the_others_stay(backend, runner):
    two_months(backend)
    result = runner.invoke(args=["contacts", "prune", "--before", "2012-03-01"])
    assert (result.exit_code, result.stdout.splitlines()[:2]) == (
        0,
        ["dropped contact_change_2012_01", "dropped contact_change_2012_02"],
    )
    assert months(backend) == ["contact_change_2012_03"]
    assert logged(backend)[0] == MARCH


def test_changes_that_lie_in_no_month_are_deleted(backend, runner):
    change(backend, add_contact(backend), datetime(2010, 5, 1, tzinfo=UTC))
    result = runner.invoke(args=["contacts", "prune", "--before", "2011-01-01"])
    assert result.stdout == "done, 1 changes outside any month deleted\n"
    assert len(logged(backend)) == 1


def test_a_log_in_use_is_left_alone_and_writers_are_not_held_up(backend, runner):
    two_months(backend)
    with other_session(backend, autocommit=False) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contact_change")
        result = runner.invoke(args=["contacts", "prune", "--before", "2012-03-01", "--patience", "0"])
        add_contact(backend)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The change log is in use by an export or a writer: contact_change_2012_01")
    assert len(months(backend)) == 3


def test_a_date_that_is_none_is_a_wrong_use(runner):
    assert runner.invoke(args=["contacts", "prune", "--before", "soon"]).exit_code == 2
