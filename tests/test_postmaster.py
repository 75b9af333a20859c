"""What comes back from the practice Internet, over real sockets and as real mail."""

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from practice import SENDER, World, visit

from mailblast import bounce
from mailblast.bounce import Kind, Notice
from mailblast.sandbox.characters import DOMAINS


def parsed(content: bytes) -> EmailMessage:
    """A message as the standard library reads it."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


@pytest.mark.parametrize(
    ("recipient", "status"),
    [
        ("a@bounces-postfix.example", "5.1.1"),
        ("a@bounces-exim.example", "5.0.0"),
        ("a@bounces-exchange.example", "5.1.10"),
        ("jörg@bounces-postfix.example", "5.1.1"),
        ("jörg@bounces-exchange.example", "5.1.10"),
        ("bounce@elsewhere.example", "5.1.1"),
    ],
)
def test_notices(tmp_path: Path, recipient: str, status: str) -> None:
    """A notice names recipient and message, and comes to the return path."""

    async def visitor(world: World) -> None:
        assert (await world.offer(recipient)).startswith("250")

        (content,) = world.came_back()
        notice = bounce.read(content)
        assert isinstance(notice, Notice)
        (report,) = notice.reports
        assert report.recipient == recipient
        assert report.action == "failed"
        assert report.status == status
        assert report.code == 550
        assert notice.message_id == "<r1.2@news.example.com>"
        assert SENDER in notice.addressed

    visit(tmp_path, visitor)


@pytest.mark.parametrize("mta", ["postfix", "exim", "exchange"])
def test_notices_are_mail(tmp_path: Path, mta: str) -> None:
    """The standard library finds a report of three parts in a notice, and no fault."""

    async def visitor(world: World) -> None:
        await world.offer(f"a@bounces-{mta}.example")

        message = parsed(world.came_back()[0])
        assert message.get_content_type() == "multipart/report"
        kinds = [part.get_content_type() for part in message.iter_parts()]
        assert kinds[1] == "message/delivery-status"
        assert len(kinds) == 3

    visit(tmp_path, visitor)


def test_envelope_id(tmp_path: Path) -> None:
    """The envelope identifier comes back as it was given, its case included."""

    async def visitor(world: World) -> None:
        async with world.wire() as wire:
            await wire.say(
                f"MAIL FROM:<{SENDER}> ENVID=Run1-aB", "RCPT TO:<a@bounces-postfix.example>"
            )
            await wire.say("DATA")
            await wire.say("Subject: x\r\n\r\n.")

        notice = bounce.read(world.came_back()[0])
        assert isinstance(notice, Notice)
        assert notice.envelope_id == "Run1-aB"

    visit(tmp_path, visitor)


def test_out_of_office(tmp_path: Path) -> None:
    """An absent recipient's answer says that it is automatic, and reports no failure."""

    async def visitor(world: World) -> None:
        await world.offer("a@away.example")

        (content,) = world.came_back()
        message = parsed(content)
        assert message["Auto-Submitted"] == "auto-replied"
        assert message["In-Reply-To"] == "<r1.2@news.example.com>"
        assert message["To"] == SENDER
        notice = bounce.read(content)
        assert isinstance(notice, Notice)
        assert (notice.kind, notice.reports) == (Kind.AUTOREPLY, ())
        assert notice.author == "a@away.example"

    visit(tmp_path, visitor)


def test_complaint(tmp_path: Path) -> None:
    """A complaint is an abuse report that holds the return path, and no failure."""

    async def visitor(world: World) -> None:
        await world.offer("a@complains.example")

        (content,) = world.came_back()
        message = parsed(content)
        assert message.get_param("report-type") == "feedback-report"
        assert b"Feedback-Type: abuse" in content
        assert f"Original-Mail-From: <{SENDER}>".encode() in content
        notice = bounce.read(content)
        assert isinstance(notice, Notice)
        assert (notice.kind, notice.feedback) == (Kind.COMPLAINT, "abuse")
        assert notice.senders == (SENDER,)

    visit(tmp_path, visitor)


def test_unsubscribe(tmp_path: Path) -> None:
    """An unsubscribe mail goes where List-Unsubscribe points, with the subject it names."""

    async def visitor(world: World) -> None:
        await world.offer("a@unsubscribes.example")

        message = parsed(world.came_back()[0])
        assert message["To"] == "leave+tag@news.example.com"
        assert message["Subject"] == "unsubscribe"
        assert message["From"] == "a@unsubscribes.example"

    visit(tmp_path, visitor)


@pytest.mark.parametrize(
    "link",
    [
        "<https://news.example.com/u>",
        "<mailto:a@b.example?subject=x%0D%0ABcc:%20c@d.example>",
        "<mailto:a%0Ab@b.example>",
    ],
)
def test_no_unsubscribe_address(tmp_path: Path, link: str) -> None:
    """Without a mailto, or with one that would write headers, nothing comes back."""

    async def visitor(world: World) -> None:
        async with world.wire() as wire:
            await wire.say(f"MAIL FROM:<{SENDER}>", "RCPT TO:<a@unsubscribes.example>")
            await wire.say("DATA")
            (reply,) = await wire.say(f"List-Unsubscribe: {link}\r\n\r\n.")

        assert reply.startswith("250")
        assert world.came_back() == []

    visit(tmp_path, visitor)


@pytest.mark.parametrize("domain", [d for d, who in DOMAINS.items() if who.sends_back])
def test_null_return_path(tmp_path: Path, domain: str) -> None:
    """Mail from the null path is never answered (RFC 5321 §4.5.5)."""

    async def visitor(world: World) -> None:
        assert (await world.offer(f"a@{domain}", sender="")).startswith("250")
        assert world.came_back() == []

    visit(tmp_path, visitor)
