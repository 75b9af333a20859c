"""The machine that is measured on: what it must have, what it is, and its wall.

The wall is what `openssl` can sign: a message that is signed with RSA-2048 can go out no
faster than its signature is made, whatever sends it.
"""

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

WORK = Path(".bench")  # everything that a benchmark writes lies here
# Servers' programs lie where a user's PATH may not lead.
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


def need(packages: Mapping[str, str]) -> None:
    """End with a sentence if a program is missing; each is given with its Debian package."""
    for name, package in packages.items():
        if shutil.which(name, path=PATH) is None:
            sys.exit(f"{name} is missing; on Debian it is in the package {package}")


def program(name: str) -> str:
    """The path of a program that `need` has seen."""
    return shutil.which(name, path=PATH) or name


def signatures(processes: int) -> float:
    """RSA-2048 signatures a second by openssl, with so many processes."""
    command = ["openssl", "speed", "-seconds", "3", "-multi", str(processes), "rsa2048"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"rsa 2048 bits\s+\S+\s+\S+\s+([\d.]+)", said)
    assert found, said
    return float(found[1])


def cores() -> int:
    """How many processors there are."""
    return os.cpu_count() or 1


def described() -> str:
    """The machine and the day, in one line."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return (
        f"{cores()} cores, {model[1] if model else platform.machine()}, "
        f"{platform.system()}, Python {'.'.join(platform.python_version_tuple()[:2])}, "
        f"{datetime.now(UTC):%d %B %Y}"
    )


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Until somebody listens."""
    for _ in range(200):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nobody listens on port {port}")
