"""The files of a feed with their manifests, and which of them a mirror has to apply. The appliers share it."""

import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path

import requests


def files(feed, source):
    """Manifest and path of each file, oldest first. `source`: a folder, or the URL of the service (token in TOKEN)."""
    return _from_service(source, feed) if re.match("https?://", source) else _from_folder(Path(source), feed)


def _from_folder(folder, feed):
    texts = [path.read_bytes().decode() for path in folder.glob("*.csv*.json")]
    for text in sorted(texts, key=lambda text: json.loads(text)["export"]):  # two runs may have had the same sequence
        if json.loads(text)["feed"] == feed:
            yield text, folder / json.loads(text)["file"]


def _from_service(url, feed):
    with requests.Session() as session, tempfile.TemporaryDirectory() as folder:
        session.headers["Authorization"] = f"Bearer {os.environ['TOKEN']}"
        while (answer := session.get(f"{url}/api/v2/feed/{feed}/next", stream=True)).status_code == 200:
            with (path := Path(folder, "file")).open("wb") as file:
                file.writelines(answer.iter_content(1 << 20))
            text = session.get(url + answer.links["describedby"]["url"]).content.decode()
            yield text, path  # whoever asks for the next one has committed this one
            sequence = {"sequence": json.loads(text)["sequence"]}
            session.post(f"{url}/api/v2/feed/{feed}/acknowledge", json=sequence).raise_for_status()
        answer.raise_for_status()


def checked(text, path, last):
    """Whether the file has a header, and its delimiter. None: it is not newer than the manifest `last` of the mirror.

    Exits if a file is missing between them, or if this one is damaged.
    """
    manifest, before = json.loads(text), json.loads(last) if last else {"export": 0, "previous": None}
    if manifest["export"] < before["export"] or text == last:
        return None
    if (start := manifest["window"]["start"]) is not None:
        # It follows the last one, or replaces it: that run ended in error after its file had arrived.
        known = (last and hashlib.sha256(last.encode()).hexdigest(), before["previous"])
        if manifest["previous"] not in known or (last and start > before["window"]["end"]):
            sys.exit(f"{manifest['file']}: changes before it are missing (all again: flask feeds reset NAME --full)")
    if manifest["columns"][-1][1] != "change":
        sys.exit(f"{manifest['file']}: no column `change`, the feed needs --removed")
    with path.open("rb") as file:
        first_line = file.readline().decode()
        file.seek(0)
        if hashlib.file_digest(file, "sha256").hexdigest() != manifest["sha256"]:
            sys.exit(f"{manifest['file']}: not the file of its manifest")
    return first_line.startswith("user_id"), (re.findall("[,;]", first_line) or [","])[0]
