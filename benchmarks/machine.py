"""The description of the machine that was measured."""

import os
import platform
from pathlib import Path

import contacts
import psutil

GIGABYTE = 1_000_000_000


def described(server_url: str) -> dict[str, str]:
    """CPU, cores, memory, disk of the benchmarks' folder, system, Python and Postgres."""
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return {
        "CPU": _cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / GIGABYTE:.0f} GB",
        "disk": _disk(),
        "system": f"{system}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "Postgres": _postgres(server_url),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _disk() -> str:
    """The file system of the folder, and its device."""
    held = [one for one in psutil.disk_partitions(all=True) if contacts.folder().is_relative_to(one.mountpoint)]
    nearest = max(held, key=lambda one: len(one.mountpoint))
    size = psutil.disk_usage(nearest.mountpoint).total
    return f"{nearest.fstype} on {nearest.device}, {size / GIGABYTE:.0f} GB"


def _postgres(server_url: str) -> str:
    with contacts.connected(server_url) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_setting('shared_buffers')")
        version, buffers = cursor.fetchone()
    kind = (
        "the server of BENCH_DATABASE_URL" if contacts.SERVER_VARIABLE in os.environ else "the embedded one as it comes"
    )
    return f"{version}, {kind} (shared_buffers {buffers})"
