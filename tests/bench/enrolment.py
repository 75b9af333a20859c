"""How fast a list enters the ledger, and in how much memory.

    python tests/bench/enrolment.py [ROWS]

Writes a list of ROWS (1,000,000) with four columns and 50 domains, and reads, validates and
enrols it as `send` does, up to the plan.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

from mailblast.send import Request, prepared

SETTINGS = """\
[sender]
from = "Example News <news@news.example.com>"
postal_address = ["Example News", "12 Harbour Row", "Portland ME 04101"]
[message]
subject = "{{ first_name }}, your November letter"
[unsubscribe]
url = "https://news.example.com/u"
[delivery]
via = "sandbox"
"""


def main() -> None:
    """Measure once, and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as place:
        letter = Path(place, "letter")
        letter.mkdir()
        (letter / "campaign.toml").write_text(SETTINGS)
        (letter / "message.txt").write_text("Hello {{ first_name }} in {{ city }}\n")
        with (letter / "recipients.csv").open("w") as file:
            file.write("email,first_name,city,points\n")
            for n in range(count):
                file.write(
                    f"reader{n}@d{n % 50}.example.net,Reader{n},City {n % 500},{n}\n"
                )
        began = time.perf_counter()
        with prepared(Request(letter)) as plan:
            seconds = time.perf_counter() - began
            assert plan.due == count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{count:,} rows in {seconds:.1f} s: {count / seconds:,.0f} a second, {peak:.0f} MB"
    )


if __name__ == "__main__":
    main()
