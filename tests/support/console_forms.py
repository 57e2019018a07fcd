"""Forms of New export as a browser posts them."""

LOCAL = {
    "kind": "changes",
    "window": "custom",
    "start": "2012-02-09",
    "end": "2012-04-02",
    "origin": "form",
    "form_id": ["123"],
    "field": ["1", "3"],
    "distribution_method": "local",
    "delimiter": ",",
    "language": "en",
}
BY_FTP = {
    "distribution_method": "ftp",
    "ftp_settings.host": "127.0.0.1",
    "ftp_settings.port": "2121",
    "ftp_settings.username": "anna",
}
SECRET = "geheim§1"
