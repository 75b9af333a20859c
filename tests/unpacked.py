"""Servers that cannot be installed beside Postfix: unpacked from their Debian packages.

`.ci/unpack` puts each into .mta/PACKAGE.  `root` makes a file tree in which such a program
runs under chroot, with users, tables and a queue of its own at the places that were compiled
into it: so that several run at once, and none knows of the system's.
"""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

MTA = Path(__file__).parents[1] / ".mta"


def needs(*packages: str) -> pytest.MarkDecorator:
    """Skip where one of these packages is not unpacked, or we are not root."""
    return pytest.mark.skipif(
        os.geteuid() != 0 or not all((MTA / each).exists() for each in packages),
        reason=f"needs root, and {', '.join(packages)} unpacked (.ci/unpack)",
    )


def root(home: Path, programs: Mapping[str, Path], users: Mapping[str, int]) -> None:
    """Make `home` the root of a small system: these programs at these places with the
    libraries that they need, a shell, the users with a home directory each, and no names of
    hosts but localhost."""
    programs = {**programs, "bin/sh": Path("/bin/sh")}
    for place in ("etc", "dev", "tmp", "var/run", "var/tmp", "home"):
        (home / place).mkdir(parents=True, exist_ok=True)
    for name, device in (("null", (1, 3)), ("urandom", (1, 9))):
        path = home / "dev" / name
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(*device))
        path.chmod(0o666)
    for place, program in programs.items():
        _copy(program, home / place)
        for library in _libraries(program):
            _copy(library, home / str(library).lstrip("/"))
    known = {"root": 0, "nobody": 65534, **users}
    for name, number in users.items():
        (home / "home" / name).mkdir()
        os.chown(home / "home" / name, number, number)
    etc = home / "etc"
    etc.joinpath("passwd").write_text(
        "".join(f"{n}:x:{i}:{i}::/home/{n}:/bin/sh\n" for n, i in known.items())
    )
    etc.joinpath("group").write_text("".join(f"{n}:x:{i}:\n" for n, i in known.items()))
    etc.joinpath("hosts").write_text("127.0.0.1 localhost\n")


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _libraries(program: Path) -> list[Path]:
    """Where the libraries are that it is linked with; none of a script."""
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return [Path(each) for each in re.findall(r"(/\S+) \(0x", linked.stdout)]
