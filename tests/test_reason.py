"""What servers say, and what we take it for."""

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.reason import (
    Meaning,
    Reason,
    Scope,
    classify,
    meaning,
    permanent,
    providers,
    read_rules,
)
from mailblast.smtp.reply import parse

RULES = list(read_rules())
FROM_SERVERS = list(Reason)[:14]
KEYS = {
    "name", "reason", "scope", "rest", "pause", "generic", "says", "status", "codes",
    "provider", "only", "vague", "permanent", "sample",
}  # fmt: skip


def read(said: str, provider: str = "") -> Meaning:
    """The meaning of a reply with its codes, as the session reads it."""
    if not re.match(r"\d{3}[ -]", said):
        return meaning(0, "", said, provider)
    reply = parse([line.encode() for line in said.strip().split("\n")])
    return meaning(reply.code, reply.status, reply.text, provider)


# --- The rules themselves -------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.meaning.rule)
def test_the_sample_of_a_rule_is_decided_by_it(rule):
    """Each rule has a sample, and no rule that goes before takes it for something else."""
    named = rule.providers if rule.only or not rule.says else {""}
    for provider in named or {""}:
        assert read(rule.sample, provider) == rule.meaning


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.says], ids=lambda rule: rule.meaning.rule
)
def test_words_are_enough(rule):
    """A notice often has no codes: the words of a sample alone mean the same."""
    provider = min(rule.providers) if rule.only else ""

    assert meaning(0, "", rule.sample, provider) == rule.meaning


def test_every_rule_is_well_formed():
    """Names are unique, keys known, and what is marked as generic is about an address."""
    folder = files("mailblast").joinpath("replies")
    tables = [
        table
        for file in folder.iterdir()
        for table in tomllib.loads(file.read_text(encoding="utf-8")).get("rule", ())
    ]

    assert [set(table) - KEYS for table in tables if set(table) - KEYS] == []
    assert len({rule.meaning.rule for rule in RULES}) == len(RULES) == len(tables)
    for rule in RULES:
        assert rule.meaning.reason in FROM_SERVERS
        assert not rule.meaning.generic or rule.meaning.reason is Reason.INVALID_RECIPIENT
        assert not rule.only or rule.providers
        assert rule.says or rule.statuses or rule.codes


def test_no_line_of_the_data_is_lost_in_length():
    """A file of rules is read at one sitting, as a module is."""
    for file in files("mailblast").joinpath("replies").iterdir():
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file.name


def test_every_name_for_words_is_used():
    """A name that no phrase has is dead; one that is nowhere explained fails on reading."""
    folder = files("mailblast").joinpath("replies")
    names = tomllib.loads(folder.joinpath("words.toml").read_text(encoding="utf-8"))
    phrases = "".join(file.read_text(encoding="utf-8") for file in folder.iterdir())

    assert [name for name in names if f"{{{name}}}" not in phrases] == []


# --- What providers mean: their own pages, row by row --------------------------------------

SAID = [
    line.split(" | ")
    for line in Path(__file__).with_name("said.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize(("provider", "reason", "scope", "rest", "pause", "said"), SAID)
def test_providers_mean_what_their_pages_say(provider, reason, scope, rest, pause, said):
    """Reason, scope, rest and pause of every row; no rest is asked for where none stands."""
    found = read(said, provider)

    assert (found.reason, found.scope) == (reason, scope)
    assert found.pause == (pause == "pause")
    assert found.rest >= float(rest)
    assert bool(found.rest) == (rest != "0")


@pytest.mark.parametrize("row", SAID, ids=lambda row: row[-1])
def test_a_mark_in_the_text_is_as_good_as_a_name(row):
    """A notice does not say who runs the server; the words are the provider's own."""
    _, reason, scope, *_, said = row
    if said.endswith("mailbox unavailable"):
        said += " [BN8NAM12FT042.eop-nam12.olc.protection.outlook.com]"

    found = read(said)
    assert (found.reason, found.scope, found.generic) == (reason, scope, "AS(" in said)


WORDINGS = [
    line.split(" | ", maxsplit=1)
    for line in Path(__file__).with_name("wordings.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize(("reason", "wording"), WORDINGS)
def test_words_alone_tell_the_reason_in_any_language(reason, wording):
    """No code, no provider: what is said is enough, and a rule of words decides."""
    found = meaning(0, "", wording)

    assert found.reason == reason
    assert found.rule


def test_all_providers_have_the_names_of_the_profiles():
    """Whoever finds the provider of a destination finds its rules by the same name."""
    assert providers() >= {
        "google", "yahoo", "outlook", "m365", "icloud", "comcast", "cox", "mimecast",
        "orange", "gmx-webde", "qq", "163", "barracuda",
    }  # fmt: skip


# --- The order: words, the provider's code, hints, the status, the code ---------------------


def test_words_come_before_codes():
    """Take the words away, then the name, then the status: each time the next decides."""
    said = meaning(552, "5.7.28", "mailbox is full", "google")
    assert said.reason is Reason.MAILBOX_FULL
    assert meaning(552, "5.7.28", "no", "google").reason is Reason.BLOCKED_REPUTATION
    assert meaning(552, "5.1.1", "no").reason is Reason.INVALID_RECIPIENT
    assert meaning(552, "", "no").reason is Reason.MAILBOX_FULL
    assert meaning(599, "", "no") == Meaning(Reason.OTHER, Scope.DESTINATION)


def test_a_providers_code_says_more_than_a_hint():
    """ "Not authorized" says little; 5.7.133 of Exchange Online says whose rule it is."""
    assert meaning(550, "5.7.133", "Not authorized").scope is Scope.US
    assert meaning(550, "5.7.133", "Not authorized", "m365").scope is Scope.RECIPIENT


@pytest.mark.parametrize(
    "status", ["7.27", "7.28", "7.29", "7.30", "7.40", "1.10", "2.1", "4.1"]
)
def test_codes_that_clash_say_nothing_alone(status):
    """IANA and providers disagree on them: without a word or a name the class decides."""
    assert classify(550, f"5.{status}", "Sorry") is Reason.OTHER
    assert classify(421, f"4.{status}", "Sorry") is Reason.NETWORK_TEMPORARY


def test_the_name_of_the_provider_settles_a_clash():
    """The same code means a rate, TLS or an unknown user by who says it."""
    assert meaning(421, "4.7.28", "Sorry", "google").rest == 600
    assert classify(550, "5.7.29", "Sorry", "google") is Reason.POLICY_AUTH
    assert classify(550, "5.1.10", "Sorry", "m365") is Reason.INVALID_RECIPIENT
    assert classify(550, "5.4.1", "Sorry", "m365") is Reason.INVALID_RECIPIENT


@pytest.mark.parametrize(
    ("said", "generic"),
    [
        ("550 5.1.1 <bob@example.com>: User unknown", False),
        ("550 No such user here", False),
        ("550 5.1.1 <bob@example.com>: Recipient rejected", False),  # the code settles it
        ("550 5.1.1 Sorry", False),
        ("550 <bob@example.com>: Recipient rejected", True),
        ("550 Requested action not taken: mailbox unavailable", True),
        ("550 5.1.0 Address rejected", True),
        ("550 5.4.1 Recipient address rejected: Access denied. [x.prod.outlook.com]", True),
        ("553 Sorry", True),
    ],
)
def test_only_explicit_words_or_codes_are_certain(said, generic):
    """The default words of RFC 5321 and of Postfix do not say that nobody is there."""
    found = read(said)

    assert (found.reason, found.generic) == (Reason.INVALID_RECIPIENT, generic)


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (550, "5.1.1", True),
        (421, "5.7.32", False),  # the code decides
        (552, "4.2.2", True),
        (0, "4.4.7", False),
        (0, "5.0.0", True),
        (0, "", None),
        (250, "2.0.0", None),
    ],
)
def test_the_first_digit_decides_how_lasting_it_is(code, status, expected):
    """RFC 5321 §4.2.1; only where there is no code does the status say it."""
    assert permanent(code, status) is expected


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        ("5.1.1 5.1.3 5.1.6 4.1.1", Reason.INVALID_RECIPIENT),
        ("5.1.2 5.4.4", Reason.DOMAIN_INVALID),
        ("5.7.13", Reason.MAILBOX_INACTIVE),
        ("4.2.2 5.2.2", Reason.MAILBOX_FULL),
        ("5.2.3 5.3.4", Reason.MESSAGE_TOO_LARGE),
        ("4.3.0 4.3.2 5.3.0 5.5.0 5.5.1 5.5.2 5.5.4", Reason.SYSTEM_ERROR),
        ("4.4.1 4.4.2 4.4.4 4.4.6 5.4.6", Reason.NETWORK_TEMPORARY),
        ("4.4.7 5.4.7", Reason.EXPIRED),
        ("5.6.0 5.6.1", Reason.SPAM_CONTENT),
        ("5.7.20 5.7.21 5.7.22 5.7.23 5.7.24 5.7.25 5.7.26 5.7.1", Reason.POLICY_AUTH),
        # Not registered: the class of the code decides.
        ("5.1.99 5.3.99 5.7.99 5.9.9", Reason.OTHER),
        ("4.3.99 4.9.9", Reason.NETWORK_TEMPORARY),
    ],
)
def test_what_a_status_means(statuses, reason):
    """Without telling words, as the registry has it (RFC 3463, RFC 5248, RFC 7372)."""
    for status in statuses.split():
        code = 550 if status[0] == "5" else 451

        assert classify(code, status, "Sorry") is reason, status


def test_a_reply_is_read_over_its_lines():
    """Codes on every line, in one line or none, and soft breaks hide nothing."""
    lines = (
        "421-4.7.28 Gmail has detected an unusual\n"
        "421-4.7.28 rate of unsolicited mail originating\n"
        "421 4.7.28 from your IP address"
    )
    expected = read(lines)

    assert expected.rule == "google-unusual-rate"
    assert read(lines.replace("\n", " ")) == expected
    assert meaning(0, "", lines) == expected
    assert meaning(421, "", lines.replace("unusual\n", "unu=\r\nsual ")) == expected


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("450 4.1.1 Recipient address rejected: unverified address", "network-temporary"),
        ("550 5.2.1 Mailbox unavailable. Your IP is blacklisted", "blocked-reputation"),
        (
            "550 <bob@example.com>: Recipient address rejected: Spam detected",
            "spam-content",
        ),
        ("552 Benutzer hat zuviele Mails auf dem Server.", "mailbox-full"),
        ("550 5.2.2 <a@b.example>: mailbox full, try again later", "mailbox-full"),
        ("550 5.7.1 You have been blacklisted by the recipient", "policy-auth"),
        ("553 Domain of sender address a@b.example does not exist", "policy-auth"),
        ("550 5.7.1 Relaying denied", "relay-denied"),
        ("554 5.4.6 Too many hops", "network-temporary"),
        ("554 no", "other"),
        # No code at all, as in notices for people:
        ("Your message could not be delivered for 5 days", "expired"),
        ("Das Postfach des Empfängers ist voll.", "mailbox-full"),
        ("La boîte aux lettres du destinataire est pleine", "mailbox-full"),
        ("El buzón del destinatario está lleno", "mailbox-full"),
        ("La casella di posta del destinatario è piena", "mailbox-full"),
        ("Empfänger unbekannt", "invalid-recipient"),
        ("Utilisateur inconnu", "invalid-recipient"),
        ("El usuario no existe", "invalid-recipient"),
        ("Utente sconosciuto", "invalid-recipient"),
        ("Usuário inexistente", "invalid-recipient"),
        ("Gebruiker onbekend", "invalid-recipient"),
        ("Пользователь не найден", "invalid-recipient"),
        ("Почтовый ящик переполнен", "mailbox-full"),
        ("宛先のユーザーが存在しません。", "invalid-recipient"),
        ("受信者のメールボックスがいっぱいです", "mailbox-full"),
        ("收件人不存在", "invalid-recipient"),
        ("收件人邮箱已满", "mailbox-full"),
    ],
)
def test_the_telling_words_win(said, reason):
    """Of several words the ones that explain count, in every language that mail speaks."""
    assert read(said).reason == reason


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "host mx.example.net[192.0.2.25] refused to talk to me: 421 later",
            "network-temporary",
        ),
        (
            "connect to mx.example.net[192.0.2.25]:25: Connection refused",
            "network-temporary",
        ),
        ("550 unknown error (in reply to RCPT TO command)", "other"),
        (
            "host mx.example.net said: 550 5.3.0 rejected (in reply to MAIL FROM)",
            "system-error",
        ),
        ("550 Mailbox unavailable or access denied [IP: 192.0.2.1]", "invalid-recipient"),
        ("The sender of this message, whose mailbox is full, is unknown", "mailbox-full"),
        ("450 4.2.0 not accepted: come back in five minutes", "network-temporary"),
    ],
)
def test_a_sentence_is_about_its_own_subject(said, reason):
    """What is said of a connection, or of whom the wrapper names, is not said of us."""
    assert classify(0, "", said) == reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Thank you for your message. I am out of the office until Monday.",
        "This is an automatically generated Delivery Status Notification.",
        "A message that you sent could not be delivered to one or more of its recipients.",
        "This is a permanent error. The following address(es) failed:",
        "I'm sorry to have to inform you that your message could not be delivered.",
        "For further assistance, please send mail to postmaster.",
        "This email has been scanned for all viruses and potentially offensive content.",
        "The user guide is attached; the box has space for your account number.",
        "spam@example.com full@example.com no.such.user@example.com unknown.example",
        "mail.blocked.example relay.denied.example spam.blacklist.example",
    ],
)
def test_innocent_words_mean_nothing(text):
    """What every notice says, what an answer says, and names that look like words."""
    assert meaning(0, "", text) == Meaning(Reason.OTHER, Scope.DESTINATION)


# --- What holds for all ----------------------------------------------------------------------


WORDS = [
    "user",
    "mailbox",
    "unknown",
    "full",
    "spam",
    "blocked",
    "*",
    "@",
    "5.1.1",
    "550",
    "\n",
]


@given(
    st.sampled_from([0, 199, 250, 421, 450, 452, 550, 552, 554, 999]),
    st.sampled_from(["", "4.7.28", "5.1.1", "5.7.27", "nonsense", "5"]),
    st.text(max_size=200) | st.lists(st.sampled_from(WORDS)).map(" ".join),
    st.sampled_from(["", "google", "m365", "nobody"]),
)  # fmt: skip
def test_everything_means_something(code, status, text, provider):
    """Whatever is said: one of the fourteen reasons, bounds kept, and no exception."""
    found = meaning(code, status, text, provider)

    assert found.reason in FROM_SERVERS
    assert classify(code, status, text, provider) is found.reason
    assert 0 <= found.rest <= 14400
    assert not found.generic or found.reason is Reason.INVALID_RECIPIENT


def test_only_the_recipient_can_be_at_fault_for_the_recipient():
    """What we or the network did wrong never has the scope that may suppress."""
    ours = {Reason.BLOCKED_REPUTATION, Reason.POLICY_AUTH, Reason.RELAY_DENIED}

    assert {reason.scope for reason in ours} == {Scope.US}
    assert Reason.SPAM_CONTENT.scope is Scope.MESSAGE
    assert Reason.NETWORK_TEMPORARY.scope is Scope.DESTINATION
    assert Reason.INVALID_RECIPIENT.scope is Scope.RECIPIENT


def test_a_long_text_is_judged_by_its_beginning():
    """However long and hostile the text, only 2,000 characters are looked at."""
    assert classify(550, "", "a" * 10_000_000) is Reason.OTHER
    assert classify(550, "", " " * 2000 + "user unknown") is Reason.OTHER


# --- Other projects' samples, where they lie beside the checkout -----------------------------

LINES = Path(__file__).parents[2] / "shared" / "bounces" / "dev" / "smtp_replies.jsonl"

# Not skipped but absent where the samples are: in continuous integration none may skip.
if LINES.is_file():

    @pytest.mark.parametrize("coded", [True, False], ids=["with codes", "words alone"])
    def test_other_projects_read_them_so_too(coded):
        """Of the labelled replies at least 95 % are read as their labels say."""
        lines = [json.loads(line) for line in LINES.read_text().splitlines()]
        wrong = []
        for one in lines:
            code = int(one["code"] or 0) if coded else 0
            found = classify(code, (one["status"] or "") if coded else "", one["line"])
            if found not in one["coarse"]:
                wrong.append((one["id"], found, one["coarse"]))

        assert len(wrong) <= 0.05 * len(lines), wrong
