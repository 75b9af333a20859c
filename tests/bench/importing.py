"""How fast what came back is taken in, ledger included, and in how much memory.

    python tests/bench/importing.py [MAILS [DIRECTORY]]

Writes an mbox of MAILS (20,000): copies of the .eml files in a directory (tests/notices), each
with one field more, so that each is another mail.  Imports it, as a program of its own, into a
workspace in which every delivery that a real notice is tied to is there: half of the mails are
notices of the practice Internet that bring a genuine tag.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mailblast.mailbox import Mail, append_mbox, read

SETTINGS = """\
[sender]
from = "Example News <news@news.example.com>"
postal_address = ["Example News", "12 Harbour Row", "Portland ME 04101"]
[message]
subject = "The November letter"
[unsubscribe]
mailto = "leave@news.example.com"
[delivery]
via = "sandbox"
"""
BACK = ("bounces-postfix", "bounces-exim", "bounces-exchange", "away", "complains")
PROGRAM = [sys.executable, "-m", "mailblast"]


def main() -> None:
    """Measure once, and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    files = (
        Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parents[1] / "notices"
    )
    others = [path.read_bytes() for path in sorted(files.glob("*.eml"))]
    with tempfile.TemporaryDirectory() as place:
        where = Path(place)
        inbox = where / "inbox.mbox"
        ours = list(sent_back(where, min(count // 2, 1000)))
        for number in range(count):
            some = ours if number % 2 else others
            mail = some[number // 2 % len(some)]
            append_mbox(inbox, b"X-Copy: %d\n" % number + mail, "", time.time())
        words = [*PROGRAM, "bounces", "import", str(inbox), "--json"]
        began = time.perf_counter()
        with subprocess.Popen(words, cwd=where, stdout=-1, stderr=-1, text=True) as process:
            assert process.stdout
            counts = json.loads(process.stdout.read())["counts"]
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0
        seconds = time.perf_counter() - began
    told = ", ".join(f"{many:,} {name}" for name, many in counts.items())
    busy = usage.ru_utime + usage.ru_stime
    print(f"{count:,} mails in {seconds:.1f} s: {count / seconds:,.0f} a second")
    print(f"{busy / count * 1e6:,.0f} microseconds of processor a mail, all processes")
    print(f"{usage.ru_maxrss / 1024:.0f} MB; {told}")


def sent_back(where: Path, count: int) -> list[bytes]:
    """What comes back for a list of that many."""
    letter = where / "letter"
    letter.mkdir()
    (where / "mailblast.toml").touch()
    (letter / "campaign.toml").write_text(SETTINGS)
    (letter / "message.txt").write_text("Hello\n")
    rows = (f"r{n}@{BACK[n % len(BACK)]}.example\n" for n in range(count))
    (letter / "recipients.csv").write_text("email\n" + "".join(rows))
    subprocess.run(
        [*PROGRAM, "send", "letter", "--yes"], cwd=where, check=True, capture_output=True
    )
    inbox = where / ".mailblast/sandbox/inbox.mbox"
    return [mail.content for mail in read(inbox) if isinstance(mail, Mail)]


if __name__ == "__main__":
    main()
