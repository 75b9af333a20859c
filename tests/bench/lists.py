"""How fast a list is planned, looked at and cleaned, and in how much memory.

    python tests/bench/lists.py [ROWS [DOMAINS [STEPS]]]

Writes a list of ROWS (100,000) at six providers and DOMAINS (20,000) other domains, foretells
how long it would take (`plan`), looks at it as `check` does, both without the DNS, and cleans
it.  STEPS are the first so many of these three.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from enrolment import SETTINGS

from mailblast.campaign import load
from mailblast.check.census import Hygiene
from mailblast.clean import Wanted, clean
from mailblast.preflight import looked_over, preflight
from mailblast.recipients import open_recipients
from mailblast.timeline import timeline

LARGE = ("gmail.com", "hotmail.com", "yahoo.com", "outlook.com", "web.de", "gmx.de")


def main() -> None:
    """Measure once, and print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    domains = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    with tempfile.TemporaryDirectory() as place:
        letter = Path(place, "letter")
        letter.mkdir()
        (letter / "campaign.toml").write_text(SETTINGS)
        (letter / "message.txt").write_text("Hello {{ first_name }} in {{ city }}\n")
        with (letter / "recipients.csv").open("w") as file:
            file.write("email,first_name,city,points\n")
            for n in range(rows):
                # 7919 is a prime: rows that follow each other are not alike.
                where = LARGE[n % 6] if n % 10 < 6 else f"d{n % domains}.example.net"
                file.write(
                    f"r.{n * 7919 % rows:x}.s@{where},Reader{n},City {n % 500},{n}\n"
                )
        steps = (("plan", planned), ("check", checked), ("clean", cleaned))
        for name, work in steps[: int(sys.argv[3]) if len(sys.argv) > 3 else None]:
            measured(f"{name} of {rows:,} rows", lambda work=work: work(letter))


def measured(what: str, work: Callable[[], object]) -> None:
    began, worked = time.perf_counter(), time.process_time()
    work()
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what}: {seconds:.1f} s, {cpu:.1f} s of them on the processor; peak {peak:.0f} MB"
    )


def planned(letter: Path) -> None:
    timeline(load(letter, letter.parent), letter.parent, None, lambda *_: None)


def checked(letter: Path) -> None:
    campaign = load(letter, letter.parent)
    survey, hygiene = looked_over(campaign, None, lambda *_: None)
    preflight(campaign, letter.parent, None, survey, more={Hygiene: hygiene})


def cleaned(letter: Path) -> None:
    recipients = open_recipients(letter / "recipients.csv")
    clean(recipients, letter / "clean.csv", letter / "why.csv", Wanted(), lambda *_: None)


if __name__ == "__main__":
    main()
