"""Mail that came back: every kind and every form is read, and each recipient judged.

The mails lie in tests/notices; what must be read from them stands in its expected.toml.
"""

import base64
import tomllib
from pathlib import Path

import pytest

from mailblast import bounce
from mailblast.bounce import Notice
from mailblast.bounce.forms import FORMS, Form

MAILS = Path(__file__).parent / "notices"
EXPECTED = tomllib.loads((MAILS / "expected.toml").read_text())


def read(name: str) -> Notice:
    """The notice that a mail of ours is."""
    found = bounce.read((MAILS / f"{name}.eml").read_bytes())
    assert isinstance(found, Notice)
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_kind(name: str) -> None:
    """Each mail is what it is, and says by which rule."""
    found = read(name)

    assert (found.kind, bool(found.rule)) == (EXPECTED[name]["kind"], True)


@pytest.mark.parametrize("name", EXPECTED)
def test_recipients(name: str) -> None:
    """Exactly the recipients are named, each with what is said of it and what that means."""
    expected = EXPECTED[name]["recipients"]
    found = [
        {key: getattr(report, key) for key in wanted}
        for report, wanted in zip(read(name).reports, expected, strict=True)
    ]

    assert found == expected


# --- The same, otherwise ------------------------------------------------------------------

# Mails in words alone that are known by more than their subject.
PLAIN = [
    name
    for name, expected in EXPECTED.items()
    if expected["kind"] == "bounce"
    and b"Content-Type" not in (MAILS / f"{name}.eml").read_bytes().split(b"\n\n", 1)[0]
]


def judged(content: bytes) -> list[tuple[object, ...]]:
    """The verdicts on the recipients of a mail."""
    found = bounce.read(content)
    assert isinstance(found, Notice)
    return [
        (r.recipient, r.action, r.status, r.code, r.reason, r.hard) for r in found.reports
    ]


def parted(name: str) -> tuple[bytes, bytes]:
    """Head and body of a mail."""
    head, _, body = (MAILS / f"{name}.eml").read_bytes().partition(b"\n\n")
    return head + b"\n", body


@pytest.mark.parametrize("name", PLAIN)
def test_encoded(name: str) -> None:
    """The words are the same in base64."""
    head, body = parted(name)
    encoded = b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(body)

    assert judged(head + encoded) == judged(head + b"\n" + body)


@pytest.mark.parametrize("name", PLAIN)
def test_wrapped(name: str) -> None:
    """A gateway that puts a notice into a multipart, with a line of its own below, changes
    nothing of it."""
    head, body = parted(name)
    wrapped = (
        b"Content-Type: multipart/mixed; boundary=w\n\n--w\n\n"
        + body
        + b"\n--w\n\nScanned by a gateway\n--w--\n"
    )

    assert judged(head + wrapped) == judged(head + b"\n" + body)


@pytest.mark.parametrize(
    "subject", ["Unzustellbar: x", "=?utf-8?B?6YCA5L+h?=", "Non remis : x"]
)
@pytest.mark.parametrize("name", PLAIN)
def test_subject_in_another_language(name: str, subject: str) -> None:
    """The recipients stand in the words, whatever language the subject has."""
    head, body = parted(name)
    lines = [
        f"Subject: {subject}".encode() if line.startswith(b"Subject:") else line
        for line in head.split(b"\n")
    ]

    assert judged(b"\n".join(lines) + b"\n" + body) == judged(head + b"\n" + body)


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_samples(form: Form) -> None:
    """The sample of each form shows its sign, and the form that finds it is that one."""
    found = next(one for one in FORMS if one.sign.search(form.sample))

    assert found is form
