"""The peer: nodemailer, with the same letter, rows, key and receiver (`peer.js`).

There are two of it: PIPELINING, and an older WAITING one, which awaits the reply to each
command.  Near the receiver that costs it a quarter of its rate, far from it half.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.versus.campaign import CONNECTIONS
from bench.versus.machine import WORK
from bench.versus.sending import Sending
from bench.versus.usage import Program

HERE = Path(__file__).parent
PIPELINING = "nodemailer"
WAITING = "nodemailer-waiting"


@dataclass(frozen=True, slots=True)
class Peer:
    """One of them; `package` is the name under which package.json has it."""

    package: str = PIPELINING

    def send(self, campaign: Path, count: int, port: int) -> Sending:
        """Have it send `count` messages; its rate leaves out the start of node."""
        script = ["node", HERE / "peer.js", self.package]
        words = [count, CONNECTIONS, campaign / "key.pem", port]
        with tempfile.TemporaryFile() as out:
            usage = Program([*script, *words], installed(), out).ended()
            out.seek(0)
            return Sending(count, float(out.read()), usage)


@cache
def installed() -> Path:
    """Where the packages are, which the npm registry has; it can be thrown away."""
    directory = WORK / "peer"
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "package.json", directory)
    quietly = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(quietly, cwd=directory, check=True)
    return directory
