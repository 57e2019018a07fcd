"""contactexport.settings: where a value comes from, and the one line about a wrong one."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from contactexport.errors import SettingsError
from contactexport.settings import PREFIX, Settings, load_settings, setting_names, unknown_settings

SECONDS = (
    "DELIVERY_LIMIT",
    "WRITERS_WAIT",
    "WRITERS_LIMIT",
    "FTP_TIMEOUT",
    "WSSE_WINDOW",
    "SWEEP_INTERVAL",
    "BROKER_POLLING_INTERVAL",
)
WRONG = [
    *(("SCHEMA", name, "a name of at most 63 bytes") for name in ("pg_own", "$user", "information_schema", "ü" * 32)),
    ("SCHEMA", "a\nb", "a non-empty line of text"),
    ("DATABASE_URL", "mysql://root@localhost/x", "postgresql://user@host:5432/database expected"),
    ("DATABASE_URL", "localhost:5432", "postgresql://user@host:5432/database expected"),
    ("DATABASE_URL", "postgresql://user@[::1/x", "postgresql://user@host:5432/database expected"),
    ("DATABASE_URL", "postgresql://user:geheim℀@host/x", "postgresql://user@host:5432/database expected"),
    ("CONTACTS_DATABASE_URL", "http://example.com", "postgresql://user@host:5432/database expected"),
    ("BROKER_URL", "kafka://localhost", "amqp://, amqps://, redis://, rediss:// or filesystem:// expected"),
    ("BROKER_URL", "amqp://user:geheim℀@host", "amqp://, amqps://, redis://, rediss:// or filesystem:// expected"),
    ("DATA_DIR", "a\0b", "a non-empty line of text expected"),
    ("DATA_DIR", "~nobody-of-that-name/x", "a folder expected"),
    ("STORAGE", "two\nlines", "a non-empty line of text expected"),
    ("STORAGE", "s3://", "a folder, or s3://bucket/prefix, gs://bucket/prefix or az://container/prefix expected"),
    ("STORAGE", "ftp://bucket/prefix", "a folder, or s3://bucket/prefix"),
    ("STORAGE", "s3://bucket/a prefix", "a folder, or s3://bucket/prefix"),
    ("STORAGE", "s3://bucket/prefix?x=1", "a folder, or s3://bucket/prefix"),
    ("DOWNLOAD_REDIRECT", "yes", "0 or 1 expected"),
    ("SECRET_KEY", "ge\theim", "a non-empty line of text expected"),
    ("TIME_ZONE", "Vienna", "a time zone of the IANA database such as UTC or Europe/Vienna expected"),
    ("TIME_ZONE", "../etc/passwd", "a time zone of the IANA database"),
    ("TIME_ZONE", "Europe", "a time zone of the IANA database"),
    ("LANGUAGE", "xx", "a language code expected, one of ar, bg"),
    ("ATTEMPT_LIMIT", "0", "a whole number expected, at least 1"),
    ("ATTEMPT_LIMIT", "five", "a whole number expected, at least 1"),
    ("ATTEMPT_LIMIT", "²", "a whole number expected, at least 1"),
    ("ATTEMPT_LIMIT", "-3", "a whole number expected, at least 1"),
    ("OAUTH_TOKEN_SECONDS", "0", "a whole number expected, at least 1"),
    ("OAUTH_TOKEN_SECONDS", "1000000001", "and at most 1000000000"),
    ("OAUTH_TOKEN_SECONDS", "9" * 5000, "and at most 1000000000"),
    ("FTP_CA_FILE", "/dev/null/none", "a readable PEM file of certificates expected"),
    ("FTP_CA_FILE", "/dev/null", "a readable PEM file of certificates expected"),
    ("FTP_TEMPORARY_NAME", "part", "a name such as %s.part or in/%s.tmp expected, in ASCII and with one %s"),
    ("FTP_TEMPORARY_NAME", "%s/part", "a name such as %s.part or in/%s.tmp expected"),
    ("RETENTION", "a while", "a duration such as 3600 (seconds), 90m, 12h or 30d expected"),
    ("RETENTION", "-1d", "a duration such as 3600 (seconds), 90m, 12h or 30d expected"),
    ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING or ERROR expected"),
    ("ALLOWED_HOSTS", "10.0.0.0/99", "10.0.0.0/8"),
    *(
        (name, wrong, "a number of seconds expected")
        for name in SECONDS
        for wrong in ("soon", "-1", "nan", "inf", "1e10")
    ),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_wrong_value_stops_with_line_that_names_variable_and_expectation(name: str, value: str, expected: str):
    for configured, environment in (({}, {PREFIX + name: value}), ({name: value}, {})):
        with pytest.raises(SettingsError) as stopped:
            load_settings(configured, environment)
        text = stopped.value.text
        assert text.startswith(PREFIX + name)
        assert expected in text
        assert len(text.splitlines()) == 1
        assert "geheim" not in text
        shown = repr(value) in text
        assert shown == (not name.endswith(("KEY", "URL")))


def test_object_store_is_named_by_its_url():
    for url in ("s3://bucket", "gs://bucket/a/b", "az://container/prefix/"):
        settings = load_settings({}, {PREFIX + "STORAGE": url})
        assert settings.storage == url.rstrip("/")
        with pytest.raises(SettingsError, match=r"CONTACTEXPORT_STORAGE is '\w\w://.*': a folder expected here"):
            assert settings.storage_dir


def test_object_store_without_its_package_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    told = r"^CONTACTEXPORT_STORAGE is 's3://bucket': .* pip install 'contactexport\[objects\]'$"
    with pytest.raises(SettingsError, match=told):
        load_settings({}, {PREFIX + "STORAGE": "s3://bucket"})


def test_credentials_in_the_url_of_a_store_are_refused_and_not_shown():
    with pytest.raises(SettingsError) as refused:
        load_settings({}, {PREFIX + "STORAGE": "s3://key:geheim@bucket/prefix"})
    assert "geheim" not in refused.value.text


def test_defaults_hold_without_configuration():
    settings = load_settings({}, {})
    assert settings.data_dir == Path.cwd() / "var"
    assert settings.storage_dir == Path.cwd() / "var" / "exports"
    assert settings.time_zone == ZoneInfo("UTC")
    assert (settings.database_url, settings.broker_url, settings.secret_key) == (None, None, None)
    assert (settings.attempt_limit, settings.writers_wait, settings.allowed_hosts) == (5, 30.0, ())


def test_environment_overrides_file_and_file_overrides_default():
    file = {"LANGUAGE": "de", "WRITERS_WAIT": 7, "ATTEMPT_LIMIT": 3}
    settings = load_settings(file, {f"{PREFIX}LANGUAGE": "FR", f"{PREFIX}WRITERS_WAIT": ""})
    assert (settings.language, settings.writers_wait, settings.attempt_limit) == ("fr", 7.0, 3)


def test_zero_is_value():
    for configured, environment in (({"WRITERS_WAIT": 0}, {}), ({}, {f"{PREFIX}WRITERS_WAIT": "0"})):
        assert load_settings(configured, environment).writers_wait == 0


def test_values_are_typed():
    given = {
        "DATABASE_URL": "postgres://root@/x", "STORAGE": "~/x", "TIME_ZONE": "Europe/Vienna", "LOG_LEVEL": "debug",
        "FTP_TIMEOUT": "0.5", "BROKER_URL": "redis://localhost", "SECRET_KEY": "one,two",
    }  # fmt: skip
    settings = load_settings({}, {PREFIX + name: value for name, value in given.items()})
    assert settings.database_url == "postgres://root@/x"
    assert settings.storage_dir == Path.home() / "x"
    assert settings.time_zone == ZoneInfo("Europe/Vienna")
    assert (settings.log_level, settings.ftp_timeout, settings.secret_key) == ("DEBUG", 0.5, "one,two")


@pytest.mark.parametrize(("raw", "seconds"), [("90", 90), ("90s", 90), ("2m", 120), ("1h", 3600), ("30d", 2_592_000)])
def test_duration_is_in_seconds_or_has_unit(raw: str, seconds: int):
    assert load_settings({}, {f"{PREFIX}RETENTION": raw}).retention == seconds


def test_missing_required_setting_is_named():
    with pytest.raises(SettingsError, match=r"^CONTACTEXPORT_BROKER_URL is not set: this environment needs it$"):
        load_settings({"REQUIRED_SETTINGS": ("DATABASE_URL", "BROKER_URL")}, {f"{PREFIX}DATABASE_URL": "postgres:///x"})


def test_unknown_variable_is_reported_with_similar_name():
    environment = {f"{PREFIX}DATABSE_URL": "x", f"{PREFIX}ZZZ": "x", f"{PREFIX}ENV": "testing", "PATH": "/bin"}
    environment |= {PREFIX + name: "x" for name in setting_names()}
    assert list(unknown_settings(environment)) == [
        "unknown setting CONTACTEXPORT_DATABSE_URL, ignored: did you mean CONTACTEXPORT_DATABASE_URL?",
        "unknown setting CONTACTEXPORT_ZZZ, ignored",
    ]


def test_every_setting_has_meaning():
    assert all(one.metadata["meaning"] for one in Settings.__dataclass_fields__.values())


def test_secret_comes_from_the_file_that_a_variable_names(tmp_path: Path):
    key, url = tmp_path / "key", tmp_path / "url"
    key.write_text("geheim§1\n")
    url.write_text("amqp://user:geheim@broker.example.com//\r\n")
    environment = {f"{PREFIX}SECRET_KEY_FILE": str(key), f"{PREFIX}BROKER_URL_FILE": str(url)}
    settings = load_settings({"SECRET_KEY": "that of a config file"}, environment)
    assert (settings.secret_key, settings.broker_url) == ("geheim§1", "amqp://user:geheim@broker.example.com//")
    assert not list(unknown_settings(environment))


def test_setting_that_is_not_secret_comes_from_no_file(tmp_path: Path):
    environment = {f"{PREFIX}LANGUAGE_FILE": str(tmp_path)}
    assert load_settings({}, environment).language == "en"
    assert next(iter(unknown_settings(environment))).startswith(f"unknown setting {PREFIX}LANGUAGE_FILE, ignored")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "a readable file expected (No such file or directory)"),
        (b"\xff\xfe", "a readable file expected (not a text)"),
        (b" \n", "the file is empty"),
    ],
)
def test_file_without_a_secret_is_refused(tmp_path: Path, content: bytes | None, expected: str):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as refusal:
        load_settings({}, {f"{PREFIX}SECRET_KEY_FILE": str(file)})
    assert refusal.value.text == f"{PREFIX}SECRET_KEY_FILE is '{file}': {expected}"


def test_wrong_value_in_a_file_is_not_shown(tmp_path: Path):
    (tmp_path / "url").write_text("mysql://root:geheim@localhost/x")
    with pytest.raises(SettingsError) as refusal:
        load_settings({}, {f"{PREFIX}DATABASE_URL_FILE": str(tmp_path / "url")})
    assert "DATABASE_URL: a URL like" in refusal.value.text
    assert "geheim" not in refusal.value.text


def test_setting_and_its_file_together_are_refused(tmp_path: Path):
    environment = {f"{PREFIX}SECRET_KEY": "one", f"{PREFIX}SECRET_KEY_FILE": str(tmp_path / "another")}
    with pytest.raises(SettingsError, match=f"{PREFIX}SECRET_KEY and {PREFIX}SECRET_KEY_FILE are set"):
        load_settings({}, environment)
