"""Fuzz the reader of bounces: python tests/fuzz/bounces.py [SEEDS…] [-max_total_time=600]

Needs atheris (pip install atheris), which the project does not ask for: the tests have the
same property with Hypothesis (test_bounce_properties.py), this looks further and longer.
SEEDS are directories of mails; the project's own fixtures are always among them.  It stops at
the first input that raises anything, breaks a bound of `within_bounds`, or takes more than
a minute, and leaves that input in the current directory.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mailblast"]):
    from mailblast import bounce

TESTS = Path(__file__).parents[1]
MAIL = (TESTS / "notices" / "qmail.eml").read_bytes()
sys.path.insert(0, str(TESTS))


def main() -> None:
    """Run until told to stop."""
    # Only now: it reads a first mail, which must happen with the instruments in place.
    from test_bounce_properties import within_bounds

    bounce.read(MAIL)  # the rules are read once, which takes longer than a mail may
    limits = ["-timeout=60", "-max_len=100000", "-rss_limit_mb=1024"]
    # The first directory takes what is found on the way: not the fixtures.
    found = Path("fuzz-corpus")
    found.mkdir(exist_ok=True)
    fixtures = str(TESTS / "notices")
    atheris.Setup(
        [sys.argv[0], str(found), *sys.argv[1:], fixtures, *limits], within_bounds
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
