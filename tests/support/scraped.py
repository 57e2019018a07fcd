"""The figures at /metrics, as a test reads them."""

import shutil
import subprocess
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


@dataclass
class Scraped:
    """One answer of /metrics. `samples` has a number for each name with its labels."""

    text: str
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def __call__(self, name: str, **labels: object) -> float:
        """The number of `contactexport_<name>` with exactly these labels. 0 if there is none."""
        wanted = frozenset((label, str(value)) for label, value in labels.items())
        return self.samples.get((f"contactexport_{name}", wanted), 0.0)

    def all(self, name: str, label: str) -> dict[str, float]:
        """By the value of one label: the sum of the numbers of `contactexport_<name>`."""
        found: dict[str, float] = {}
        for (one, labels), number in self.samples.items():
            if one == f"contactexport_{name}":
                value = dict(labels)[label]
                found[value] = found.get(value, 0.0) + number
        return found

    def names(self) -> set[str]:
        """The names of all families."""
        return {line.split()[2] for line in self.text.splitlines() if line.startswith("# TYPE")}


def scraped(text: str) -> Scraped:
    """Reads the text as Prometheus does."""
    families = text_string_to_metric_families(text)
    return Scraped(text, {(one.name, frozenset(one.labels.items())): one.value for f in families for one in f.samples})


def checked_by_promtool(text: str) -> None:
    """Fails if promtool finds anything to say about the text."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


HAS_PROMTOOL = shutil.which("promtool") is not None
