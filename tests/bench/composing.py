"""What a message costs: our own code against the libraries that could have done it.

    python tests/bench/composing.py

Three comparisons, each in one thread and by processor time, so that what else the machine
does counts less: an address checked, a message built, the same message signed.
"""

import hashlib
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from tempfile import TemporaryDirectory

import dkim
from email_validator import validate_email

from mailblast.address import parse
from mailblast.campaign import load
from mailblast.campaign.example import write_example
from mailblast.compose import Composer
from mailblast.due import Due
from mailblast.recipients import open_recipients
from mailblast.signing import Signer, new_key
from mailblast.tag import Keyring

SECONDS = 3.0
HEADERS = [b"from", b"to", b"subject", b"date", b"message-id", b"list-unsubscribe",
           b"list-unsubscribe-post"]  # fmt: skip


def rate(what: str, work: Callable[[int], object]) -> None:
    done, begun = 0, time.process_time()
    while (passed := time.process_time() - begun) < SECONDS:
        for _ in range(10):
            work(done)
            done += 1
    print(f"{what:<52} {done / passed:>10,.0f} a second")


def addresses() -> None:
    rate(
        "an address: email-validator",
        lambda n: validate_email(
            f"user{n}@mail{n % 50}.example.com", check_deliverability=False
        ),
    )
    rate(
        "an address: mailblast.address",
        lambda n: parse(f"user{n}@mail{n % 50}.example.com"),
    )


def messages(directory: Path) -> None:
    composer = _composer(directory)
    first = composer.compose(_due(1))
    rendered = composer.render(_due(1))
    print(f"(a message of {len(first.content):,} bytes)")

    rate(
        "a message built: EmailMessage, of what is rendered",
        lambda n: _standard(rendered, n),
    )
    rate("a message rendered: Jinja2 alone", lambda n: composer.render(_due(n)))
    rate("a message rendered and built: mailblast", lambda n: composer.compose(_due(n)))

    pem = new_key("rsa-sha256")
    signer = Signer(pem, "harbourlight.example", "mb1", "rsa-sha256")
    signing = _composer(directory, signer)
    rate("  the same, and signed: mailblast", lambda n: signing.compose(_due(n)))
    beside = Signer(
        new_key("ed25519-sha256"), "harbourlight.example", "mb2", "ed25519-sha256"
    )
    twice = _composer(directory, signer, beside)
    rate("  the same, and signed with Ed25519 too", lambda n: twice.compose(_due(n)))
    rate(
        "a message signed: dkimpy (RSA-2048)",
        lambda _: dkim.sign(first.content, b"mb1", b"harbourlight.example", pem,
                            include_headers=HEADERS),
    )  # fmt: skip
    head, _, body = first.content.partition(b"\r\n\r\n")
    fields = [_field(line) for line in head.replace(b"\r\n ", b" ").split(b"\r\n")]
    rate(
        "a message signed: cryptography (RSA-2048)",
        lambda n: signer.sign(fields, body, 1_700_000_000 + n),
    )
    print(f"(sha256 of the first: {hashlib.sha256(first.content).hexdigest()[:12]})")


def _field(line: bytes) -> tuple[str, bytes]:
    name, _, value = line.partition(b":")
    return name.decode(), value


def _standard(rendered, number: int) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Harbour Light Books <news@harbourlight.example>"
    message["To"] = f"user{number}@example.com"
    message["Subject"] = rendered.subject
    message["Date"] = "Tue, 24 Nov 2026 09:00:00 +0000"
    message["Message-ID"] = f"<{number}@harbourlight.example>"
    message["List-Id"] = "Harbour Light Books <news.harbourlight.example>"
    message["Feedback-ID"] = "letter:news:bulk:harbourlight"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    return message.as_bytes()


def _composer(directory: Path, *signers: Signer) -> Composer:
    campaign = load(directory, directory.parent)
    columns = open_recipients(campaign.recipients.file).columns
    return Composer(campaign, columns, "bench", Keyring(1, {1: bytes(32)}), signers)


def _due(number: int) -> Due:
    cells = (f"user{number}@example.com", "Ada", "Kestrel Bay")
    return Due(number, number, cells[0], "example.com", False, cells, 1, 1_700_000_000.0)


if __name__ == "__main__":
    addresses()
    with TemporaryDirectory() as place:
        write_example(Path(place) / "letter")
        messages(Path(place) / "letter")
