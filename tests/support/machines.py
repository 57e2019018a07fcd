"""Machines of a test: network namespaces on one bridge. Each has its own folders, and the folder that all share."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from contactexport.settings import PREFIX
from tests.support.served import PROJECT

NETWORK = "10.213.77"
TEST = f"{NETWORK}.254"  # where the machines reach the test
RABBITMQ = Path("/usr/lib/rabbitmq/bin")
UNITS = PROJECT / "ops" / "systemd"
POSTGRES_USER = "postgres"
SOCKETS = Path("/run/postgresql")  # where Postgres of Debian has them
# Takes the place of systemd: it starts what the unit says, with the environment that the unit names.
SYSTEMCTL = r"""#!/usr/bin/env bash
set -euo pipefail
[ "$1 $2" = "enable --now" ]
for name in "${@:3}"; do
    set -a; . "$ETC/contactexport.env"; set +a
    command=$(sed ':a;/\\$/{N;s/\\\n//;ba}' "$UNITS/$name.service" | sed -n 's/^ExecStart=//p')
    cd "$DATA"
    eval "setsid ${command//\/opt\/contactexport\/bin/$PROGRAMS} >> $UNIT_LOGS/$MACHINE-$name.log 2>&1 &"
done
"""


class Machines:
    """The machines by name. `folder` has a folder for each, `shared` is the one that all mount."""

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        self.folder = folder
        self.shared = folder / "shared"
        self.addresses = {name: f"{NETWORK}.{number}" for number, name in enumerate(names, 1)}
        self.further: dict[str, str] = {}  # what the test has in place of other words of the page
        self._tag = f"cx{os.getpid() % 10_000}"

    def files(self) -> list[str]:
        """The names of finished files. A test with an object store has another function in this place."""
        return sorted(path.name for path in self.shared.glob("[!.]*"))

    def make(self) -> None:
        for folder in (self.shared, self.folder / "logs", self.folder / "programs"):
            folder.mkdir()
        systemctl = self.folder / "programs" / "systemctl"
        systemctl.write_text(SYSTEMCTL)
        systemctl.chmod(0o755)
        ip("link", "add", self._tag, "type", "bridge")
        ip("addr", "add", f"{TEST}/24", "dev", self._tag)
        ip("link", "set", self._tag, "up")
        for number, (name, address) in enumerate(self.addresses.items()):
            for own in ("etc", "data", "postgresql", "run", "redis", "rabbitmq"):
                (self.folder / name / own).mkdir(parents=True)
            for own in ("postgresql", "run"):
                shutil.chown(self.folder / name / own, POSTGRES_USER)
            namespace, outside, inside = self.namespace(name), f"{self._tag}o{number}", f"{self._tag}i{number}"
            ip("netns", "add", namespace)
            ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            ip("link", "set", inside, "netns", namespace)
            ip("link", "set", outside, "master", self._tag, "up")
            for command in (("addr", "add", f"{address}/24", "dev", inside), ("link", "set", inside, "up")):
                ip("-n", namespace, *command)
            ip("-n", namespace, "link", "set", "lo", "up")

    def remove(self) -> None:
        for name in self.addresses:
            with suppress(subprocess.CalledProcessError):
                self.kill(name)
                ip("netns", "del", self.namespace(name))
        with suppress(subprocess.CalledProcessError):
            ip("link", "del", self._tag)

    def namespace(self, name: str) -> str:
        return f"{self._tag}-{name}"

    def kill(self, name: str) -> None:
        """kill -9 of every process of the machine, as if it had lost its power."""
        found = ip("netns", "pids", self.namespace(name)).split()
        processes = []
        for pid in map(int, found):
            with suppress(psutil.NoSuchProcess):
                processes.append(psutil.Process(pid))
                processes[-1].kill()
        psutil.wait_procs(processes, timeout=30)

    def run(self, name: str, user: str, script: str) -> str:
        """Runs a script in bash on that machine, by a user. Returns what it prints."""
        as_user = [] if user == "root" else ["runuser", "--user", user, "--preserve-environment", "--"]
        # `ip netns exec` has mounts of its own, so each machine has its own folder of sockets.
        sockets = f'mount --bind {self.folder / name / "run"} {SOCKETS} && exec "$@"'
        alone = ["ip", "netns", "exec", self.namespace(name), "bash", "-c", sockets, "-"]
        command = [*alone, *as_user, "bash", "-euo", "pipefail", "-c"]
        errors, printed = self.folder / "logs" / f"{name}.errors", self.folder / "logs" / f"{name}.printed"
        # Files, because what the script leaves running would hold a pipe open.
        with errors.open("ab") as stderr, printed.open("wb") as stdout:
            done = subprocess.run(
                [*command, self.substituted(name, script)],
                env=self.environment(name), cwd="/", stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                timeout=240, check=False,
            )  # fmt: skip
        text = printed.read_text()
        assert done.returncode == 0, f"{name}: {script}\n{text}\n{errors.read_text()[-3000:]}"
        return text

    def substituted(self, name: str, script: str) -> str:
        """The commands of the page with the names and folders of the test."""
        own = self.folder / name
        table = self.further | {
            **{f"{machine}.example.com": address for machine, address in self.addresses.items()},
            "10.0.0.0/24": f"{NETWORK}.0/24",
            "/etc/contactexport": str(own / "etc"),
            "/var/lib/contactexport": str(own / "data"),
            "/var/lib/postgresql": str(own / "postgresql"),
            "/var/lib/redis": str(own / "redis"),
            "/srv/contactexport": str(self.shared),
            "/opt/contactexport/bin": str(Path(sys.executable).parent),
        }
        for of_page, of_test in table.items():
            script = script.replace(of_page, of_test)
        return script

    def environment(self, name: str) -> Mapping[str, str]:
        outside = {key: value for key, value in os.environ.items() if not key.startswith((PREFIX, "PG"))}
        own = self.folder / name
        # Those of RabbitMQ itself. Debian's would run them as another user, with the folders of the package.
        path = [self.folder / "programs", Path(sys.executable).parent, postgres_programs(), RABBITMQ, outside["PATH"]]
        return outside | {
            "PATH": ":".join(map(str, path)),
            "PYTHONPATH": str(PROJECT),
            "MACHINE": name,
            "ETC": str(own / "etc"),
            "DATA": str(own / "data"),
            "UNIT_LOGS": str(self.folder / "logs"),
            "UNITS": str(UNITS),
            "PROGRAMS": str(Path(sys.executable).parent),
            "HOME": str(own / "rabbitmq"),
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_MNESIA_BASE": str(own / "rabbitmq"),
            "RABBITMQ_LOG_BASE": str(own / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(
                own / "rabbitmq" / "no-environment"
            ),  # that of this machine is not for the test
            "RABBITMQ_CONFIG_FILE": str(own / "rabbitmq" / "no-configuration"),
            "RABBITMQ_PID_FILE": str(own / "rabbitmq" / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(own / "rabbitmq" / "plugins"),
        }


@contextmanager
def machines(*names: str) -> Iterator[Machines]:
    """Machines with these names. Skips the test without root, `ip netns`, or the programs of Postgres."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and `ip` (Debian: iproute2)")
    if postgres_programs() is None or not SOCKETS.is_dir():
        pytest.skip("no Postgres of Debian (postgresql-15)")
    # Not below pytest's own folder, which only root may enter.
    folder = Path(tempfile.mkdtemp(prefix="contactexport-machines-"))
    folder.chmod(0o755)
    made = Machines(names, folder)
    try:
        try:
            made.make()
        except subprocess.CalledProcessError as refused:
            pytest.skip(f"no network namespaces: {refused.stderr.strip()}")
        yield made
    finally:
        made.remove()
        shutil.rmtree(folder, ignore_errors=True)


def postgres_programs() -> Path | None:
    """The folder of the programs of Postgres, if it has those of the page."""
    needed = ("initdb", "pg_ctl", "pg_basebackup", "psql")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((one for one in folders if all((one / name).exists() for name in needed)), None)


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30, check=True).stdout
