"""The export that every tool has to make, and its time: from the connection to the complete file.

Each tool is a separate program, called as `python -m tools.TOOL URL START END FILE`, so that its memory can be
measured. Its imports are loaded before the time begins.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FORM = 123
# Contact fields of the sample catalogue and their columns. 5 and 14 are choices, which appear as labels.
FIELDS = {
    1: "first_name", 2: "last_name", 3: "email", 4: "date_of_birth", 5: "gender",
    10: "address", 11: "city", 13: "zip_code", 14: "country", 106533: "loyalty_number",
}  # fmt: skip
HEADER = [
    "user_id", "First Name", "Last Name", "E-Mail", "Date of Birth", "Gender",
    "Address", "City", "ZIP Code", "Country", "Loyalty number", "last update",
]  # fmt: skip


@dataclass(frozen=True)
class Job:
    """The `url` of the database, the window [start, end) in the format of Postgres, and the file to write."""

    url: str
    start: str
    end: str
    file: Path
    everybody: bool = False

    @property
    def query(self) -> str:
        """The best query found by hand, see query.sql. For the contacts of the form, or with `everybody` for all."""
        template = Path(__file__).with_name("query.sql").read_text(encoding="utf-8")
        form = f"origin_kind = 'form' AND {{}}origin_id = {FORM}"
        changes, contacts = ("true", "true") if self.everybody else (form.format(""), "c." + form.format("c."))
        return template.format(changes=changes, contacts=contacts, start=self.start, end=self.end)


def run(export: Callable[[Job], None]) -> None:
    """Runs the export of the command line and prints the seconds as JSON."""
    url, start, end, file = sys.argv[1:]
    job = Job(url, start, end, Path(file))
    began = time.perf_counter()
    export(job)
    print(json.dumps({"seconds": time.perf_counter() - began}))
