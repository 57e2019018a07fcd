"""System: the doctor's lines, the queue, versions and settings without secrets."""

import threading
import time

import pytest

from contactexport import doctor, workers
from contactexport.console.system_parts import Examination, shown_settings
from contactexport.doctor import Line
from contactexport.settings import load_settings
from tests.support.console_pages import signed_in
from tests.support.exporting import other_session, request, row_of, settings_for

SYSTEM = "/console/system"


def wait_for_doctor(browser) -> str:
    """The page once the doctor has looked."""
    for _ in range(300):
        page = browser.get(SYSTEM).text
        if "The doctor looks now" not in page:
            return page
        time.sleep(0.1)
    pytest.fail("the doctor does not end")


def test_page_has_the_lines_of_the_doctor(app, context):
    page = wait_for_doctor(signed_in(app, context, operator=True))
    for line in doctor.examine(context):
        assert f"<strong>{line.part}</strong>" in page
    assert "no table, index or function is missing" in page


def test_doctor_who_hangs_holds_up_no_page_and_is_asked_once(context, monkeypatch):
    released, asked = threading.Event(), []

    def hang(_context):
        asked.append(1)
        released.wait(30)
        return [Line("database", "ok", "answers")]

    monkeypatch.setattr(doctor, "examine", hang)
    examination = Examination()
    assert [examination.current(context) for _ in range(3)] == [([], None, True)] * 3
    released.set()
    examination._ended.wait(30)
    lines, age, looking = examination.current(context)
    assert ([line.part for line in lines], age is not None, looking, asked) == (["database"], True, False, [1])


def test_doctor_who_fails_is_a_line(context, monkeypatch):
    def fail(_context):
        raise RuntimeError("broken")

    monkeypatch.setattr(doctor, "examine", fail)
    examination = Examination()
    examination.current(context)
    examination._ended.wait(30)
    assert examination.current(context)[0][0].text == "the look has failed"


def test_queue_and_who_works_on_it(app, context):
    export_id = request(context, settings_for())
    browser = signed_in(app, context, operator=True)
    assert "<dt>scheduled</dt><dd>1</dd>" in browser.get(SYSTEM).text
    text = browser.get(SYSTEM).text
    assert "No worker is alive" in text
    assert "No export is worked on now" in text
    with context.database.transaction() as conn:
        workers.note_alive(conn, 4711, ["exports"], 2, 10)
    assert ", process 4711</td><td>exports</td><td>2</td>" in browser.get(SYSTEM).text
    with other_session(context) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (row_of(context, export_id)["setting_key"],))
        assert f'<a href="/console/exports/{export_id}">{export_id}</a>' in browser.get(SYSTEM).text


def test_settings_name_who_has_set_them_and_hide_secrets(tmp_path):
    environment = {
        "CONTACTEXPORT_ENV": "development",
        "CONTACTEXPORT_DATABASE_URL": "postgresql://anna:geheim@db.example.com/x",
        "CONTACTEXPORT_SECRET_KEY": "geheim",
    }
    configured = {"LOG_LEVEL": "DEBUG", "SWEEP_INTERVAL": 7, "RETENTION": "5d"}
    settings = load_settings(configured, environment)
    found = {one.name.removeprefix("CONTACTEXPORT_"): one for one in shown_settings(settings, configured, environment)}
    shown = {name: (found[name].value, found[name].source) for name in found}
    assert shown["DATABASE_URL"] == ("postgresql://***@db.example.com/x", "CONTACTEXPORT_DATABASE_URL")
    assert shown["SECRET_KEY"] == ("***", "CONTACTEXPORT_SECRET_KEY")
    assert shown["LOG_LEVEL"] == ("DEBUG", "CONTACTEXPORT_ENV=development")
    assert shown["SWEEP_INTERVAL"] == ("7", "./config")
    assert shown["RETENTION"] == ("5d", "./config")
    assert shown["LANGUAGE"] == ("en", "default")
    assert shown["BROKER_URL"] == ("", "default")


def test_secret_in_a_file_is_hidden_and_its_variable_is_named(tmp_path):
    files = {"SECRET_KEY": "geheim-" * 8, "DATABASE_URL": "postgresql://anna:geheim@db.example.com/x"}
    environment = {}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        environment[f"CONTACTEXPORT_{name}_FILE"] = str(tmp_path / name)
    settings = load_settings({}, environment)
    found = {one.name: (one.value, one.source) for one in shown_settings(settings, {}, environment)}
    for name in files:
        assert found[f"CONTACTEXPORT_{name}"] == ("***", f"CONTACTEXPORT_{name}_FILE")


def test_page_shows_no_secret_and_no_key_that_nobody_set(app, context, monkeypatch):
    monkeypatch.setenv("CONTACTEXPORT_BROKER_URL", "redis://anna:geheim@127.0.0.1/3")
    page = signed_in(app, context, operator=True).get(SYSTEM).text
    assert "geheim" not in page
    assert context.database.url not in page


def test_users_of_a_team_do_not_see_the_system(app, context):
    browser = signed_in(app, context, "tim", team="shop")
    assert (browser.get(SYSTEM).status_code, browser.get(f"{SYSTEM}/doctor").status_code) == (403, 403)


def test_viewer_sees_the_system(app, context):
    assert signed_in(app, context, "vera", viewer=True).get(SYSTEM).status_code == 200
