"""Mail that came back: every kind and every form is read, and each recipient judged.

The mails lie in tests/notices; what must be read from them stands in its expected.toml.
"""

import base64
import tomllib
from pathlib import Path

import pytest

from mailblast import bounce
from mailblast.bounce import Kind, Notice
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


# --- What comes first -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [one for one in EXPECTED if EXPECTED[one]["kind"] in ("bounce", "complaint")]
)
def test_what_a_standard_defines_comes_first(name: str) -> None:
    """IN-ORDER: a notice or a complaint that calls itself an automatic reply is none."""
    head, body = parted(name)
    automatic = b"Auto-Submitted: auto-replied\nPrecedence: auto_reply\n"
    found = bounce.read(head + automatic + b"\n" + body)

    assert isinstance(found, Notice)
    assert (found.kind, found.reports) == (read(name).kind, read(name).reports)


def test_a_read_receipt_is_neither_a_bounce_nor_a_wish() -> None:
    """IN-MDN: read or deleted unread, it says nothing against anybody (RFC 8098 §3.2.6)."""
    for name in ("mdn-displayed", "mdn-deleted"):
        found = read(name)

        assert found.kind not in (Kind.BOUNCE, Kind.UNSUBSCRIBE, Kind.COMPLAINT)
        assert found.reports == ()


LEAVE = "Please take me off your list.\n\nAnna\n"
QUOTED = "I will be back on Monday.\n\n> unsubscribe\n> stop sending\n"


@pytest.mark.parametrize(
    ("fields", "words", "kind"),
    [
        # A definite field: a machine wrote it, whatever it quotes.
        ("Auto-Submitted: auto-replied", LEAVE, "autoreply"),
        ("X-Autoreply: yes", QUOTED, "autoreply"),
        # Signs that only support: whoever asks to leave is a person.
        ("Precedence: bulk", LEAVE, "unsubscribe"),
        ("Precedence: bulk\nIn-Reply-To: <r1.2@news.example.com>", LEAVE, "unsubscribe"),
        ("Return-Path: <>\nIn-Reply-To: <r1.2@news.example.com>", LEAVE, "unsubscribe"),
        ("Precedence: bulk", QUOTED, "autoreply"),
        ("In-Reply-To: <r1.2@news.example.com>", LEAVE, "unsubscribe"),
        # What is quoted, and what stands below a signature, nobody says.
        ("In-Reply-To: <r1.2@news.example.com>", "Thanks!\n> unsubscribe\n", "none"),
        ("", "Thanks!\n\nOn Monday Ann wrote:\nunsubscribe here\n", "none"),
        ("", "Thanks!\n-- \nunsubscribe\n", "none"),
    ],
)  # fmt: skip
def test_whoever_asks_to_leave_is_a_person(fields: str, words: str, kind: str) -> None:
    """AUTO-OPTOUT-REPLY: a person's wish counts, the footer that a machine quotes does not."""
    subject = "Automatic reply: News" if "back" in words else "Re: News"
    head = f"From: anna@example.net\nSubject: {subject}\n{fields}".rstrip()
    found = bounce.read(f"{head}\n\n{words}".encode())

    assert isinstance(found, Notice)
    assert found.kind == kind


WISHES = [
    "Good morning,\n\nplease unsubscribe me from this list.",
    "Could you please unsubscribe me? Thanks",
    "Thanks, but please unsubscribe me.",
    "I never signed up for this. Unsubscribe me.",
    "I no longer wish to receive these emails.",
    "Dear Sir or Madam,\n\nI would like to unsubscribe from your newsletter.",
    "UNSUBSCRIBE!!!\n\nSent from my telephone",
    "Hi,\n\nstop.\n\nThanks",
    "Please stop sending me these mails.",
    "Guten Tag,\n\nbitte melden Sie mich vom Newsletter ab.",
    "Hallo,\n\nbitte den Newsletter abbestellen.",
    "Ich möchte keine weiteren E-Mails von Ihnen erhalten.",
    "Bonjour,\n\nveuillez me désabonner.",
    "Je ne souhaite plus recevoir vos emails.",
    "Por favor, denme de baja.",
    "Non voglio più ricevere le vostre email.",
    "Graag uitschrijven.",
    "Отпишите меня, пожалуйста.",
    "配信停止してください。",
    "退订",
]
OTHER_WORDS = [
    "By the way, the unsubscribe link in the footer is broken.",
    "To unsubscribe from the list your readers must log in. Why?",
    "Please stop sending the programme as an attachment. Still love the newsletter!",
    "Stop by our booth on Friday.",
    "Remove the cover and the screws; can you help?",
    "Take my name off the credits page, please.",
    "Don't email me the licence, send it by post please.",
    "I would like to opt out of tracking but keep the newsletter.",
    "Please cancel my order 4711.",
]


@pytest.mark.parametrize(
    ("words", "kind"),
    [*((one, "unsubscribe") for one in WISHES), *((one, "none") for one in OTHER_WORDS)],
)
def test_a_wish_in_the_words_of_a_person(words: str, kind: str) -> None:
    """Behind a greeting, in the middle of a sentence; not each mention of leaving is one."""
    head = "From: anna@example.net\nSubject: Re: News\nMIME-Version: 1.0\n"
    text = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
    found = bounce.read(f"{head}{text}{words}\n\nOn Monday Ann wrote:\n> News\n".encode())

    assert isinstance(found, Notice)
    assert found.kind == kind


@pytest.mark.parametrize(
    ("subject", "words", "kind"),
    [
        ("unsubscribe", "", "unsubscribe"),
        ("Re: Unsubscribe from newsletter", "Thank you", "unsubscribe"),
        ("unsubscribe ABC123=", "", "unsubscribe"),
        ("Stop", "", "unsubscribe"),
        ("Stop", "the music!", "none"),
        ("Unsubscribe link", "is broken", "none"),
        ("Opt out of tracking?", "Do you track opens?", "none"),
    ],
)
def test_a_wish_in_a_subject(subject: str, words: str, kind: str) -> None:
    """A subject is a wish if it is nothing else; a single word, if nothing else stands below."""
    found = bounce.read(f"From: anna@example.net\nSubject: {subject}\n\n{words}\n".encode())

    assert isinstance(found, Notice)
    assert found.kind == kind


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("From: MAILER-DAEMON@example.net", "Το μήνυμά σας δεν έφτασε."),
        ("From: Postmaster <postmaster@example.net>", "Your letter went astray."),
        (
            (
                "From: mail@example.net\n"
                'Content-Type: multipart/report; report-type=delivery-status; boundary="b"'
            ),
            "--b\nContent-Type: text/plain\n\nWent astray.\n--b--",
        ),
    ],
)
def test_who_tells_of_deliveries_answers_for_nobody(fields: str, words: str) -> None:
    """AUTO-DETECT: in a form that nobody knows it is no answer, for that would prove delivery."""
    head = f"Return-Path: <>\n{fields}\nSubject: News\nAuto-Submitted: auto-replied\n"
    found = bounce.read(f"{head}\n{words}\n".encode())

    assert isinstance(found, Notice)
    assert found.kind == "none"


@pytest.mark.parametrize("subject", ["Mailbox full", "Undelivered letter", "User unknown?"])
def test_what_a_person_writes_blames_nobody(subject: str) -> None:
    """From their own mailbox, with a subject as that of a notice."""
    head = (
        f"Return-Path: <anna@example.net>\nFrom: anna@example.net\nSubject: {subject}\n\n"
    )
    words = "My mailbox was full, and user unknown they say. Write to bert@example.net.\n"
    found = bounce.read((head + words).encode())

    assert isinstance(found, Notice)
    assert (found.kind, found.reports) == ("none", ())


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        ("Anna no longer works here.", True),
        ("Anna has left the company. Write to bert@example.net instead.", True),
        ("This mailbox is not monitored.", True),
        ("Frau Beispiel ist nicht mehr im Unternehmen.", True),
        ("I am out of the office until Monday.", False),
        ("Your account is no longer new to us.", False),
        ("\n" * 2 + "I am away.\n" * 10 + "Anna no longer works here.", False),
    ],
)
def test_who_is_there_no_more(words: str, gone: bool) -> None:
    """AUTO-LEFT-COMPANY: said in the first ten lines of an automatic reply."""
    head = "From: anna@example.net\nSubject: News\nAuto-Submitted: auto-replied\n\n"
    found = bounce.read(f"{head}{words}\n".encode())

    assert isinstance(found, Notice)
    assert (found.kind, found.departed) == ("autoreply", gone)


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
