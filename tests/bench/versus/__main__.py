"""mailblast beside nodemailer: the same letter, list, key and receiver, in one run.

    make bench            50,000 recipients; writes its section of docs/benchmarks.md
    make bench N=5000     a short one; writes nothing

The receiver is Postfix's smtp-sink, on this machine: so both sides share its processors.
First nodemailer, then mailblast; then both again with a delay between them and the receiver;
then a nodemailer that does not pipeline, near and far; then Postfix as a relay, without OpenDKIM
and with it.  A run whose messages did not all arrive
is an error and no figure.  The last line is one JSON object.
"""

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from bench.versus.campaign import written
from bench.versus.delay import delayed
from bench.versus.machine import WORK, cores, need, signatures
from bench.versus.page import BENCHMARKS, rewrite
from bench.versus.peer import WAITING, Peer
from bench.versus.receiver import receiver
from bench.versus.relay import of_postfix, of_signing_postfix
from bench.versus.sending import Sending, of_mailblast
from bench.versus.table import Measured, figures, section

FULL = 50_000
DELAY = 0.040  # seconds of round trip
FAR = (2_000, 3_000)  # messages with the delay, at least and at most: that takes a minute
RELAYED = 10_000  # messages through Postfix, at most
NEEDED = {
    "smtp-sink": "postfix",
    "smtp-source": "postfix",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
}

Sender = Callable[[Path, int, int], Sending]  # the campaign, how many, to which port


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    count = int(sys.argv[1])
    need(NEEDED)
    measured = measure(count)
    text = section(measured)
    print(text)
    if measured.postfix is None:
        print("Postfix as a relay is left out: a private instance of it needs root.")
    elif measured.signing is None:
        print("Postfix that signs is left out: on Debian it needs the package opendkim.")
    if count >= FULL:
        rewrite(BENCHMARKS, "versus", text)
    print(json.dumps(figures(measured)))


def measure(count: int) -> Measured:
    """All of it, one after the other."""
    far = min(FAR[1], max(FAR[0], count // 10))
    wall = signatures(1), signatures(cores())
    return Measured(
        near=(run(Peer().send, count), run(of_mailblast, count)),
        far=(run(Peer().send, far, DELAY), run(of_mailblast, far, DELAY)),
        waiting=(
            run(Peer(WAITING).send, count),
            run(Peer(WAITING).send, far, DELAY),
        ),
        delay=DELAY,
        postfix=of_postfix(min(count, RELAYED)),
        signing=of_signing_postfix(min(count, RELAYED)),
        wall=wall,
    )


def run(sender: Sender, count: int, delay: float = 0.0) -> Sending:
    """Have a sender send the campaign to a receiver of its own, so far away (seconds)."""
    with (
        receiver() as sink,
        delayed(sink.port, delay) if delay else nullcontext(sink.port) as port,
    ):
        campaign = written(WORK / "versus", count, port)
        sent = sender(campaign.absolute(), count, port)
        sink.reached(count)
    return sent


if __name__ == "__main__":
    main()
