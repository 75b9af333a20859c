"""Settings: which values are refused, and with which words."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from campaigns import PLAIN, make, problem, problems, read
from hypothesis import given
from hypothesis import strategies as st

from mailblast.campaign import Limits, Policy, Rate, Tolerance, Warmup, load, load_policy
from mailblast.campaign.forms import duration
from mailblast.campaign.keys import KEYS
from mailblast.campaign.limits import CONNECTIONS, RATE
from mailblast.campaign.providers import KEYS as PROVIDER_KEYS
from mailblast.errors import Problems, UserError

WARMUP = "[throttle]\nwarmup = { start = %s, growth = %s, day-one = %s }"


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """A directory with all that a campaign needs."""
    return make(tmp_path / "spring")


def test_unknown_key_is_guessed(campaign: Path) -> None:
    """A misspelt key is named with its line and the key it is near to."""
    bad = PLAIN.replace("from =", "form =")

    assert 'campaign.toml:2: unknown key "form"; did you mean "from"?' in problems(
        campaign, instead=bad
    )


@pytest.mark.parametrize(
    ("line", "more", "said"),
    [
        (
            7,
            '[recipient]\nfile = "x"',
            "unknown table [recipient]; did you mean [recipients]?",
        ),
        (7, "subject = 1", 'unknown key "subject"; it belongs in [message]'),
        (8, "[throttle]\nrat = 1", 'unknown key "rat"; did you mean "rate"?'),
        (
            8,
            "[unsubscribe]\nzzz = 1",
            'unknown key "zzz"; known here: url, mailto, url_ends',
        ),
        (
            8,
            '[throttle]\ndestinations = "x"',
            "[throttle.destinations] must be a table",
        ),
    ],
)
def test_unknown_names(campaign: Path, line: int, more: str, said: str) -> None:
    """Unknown tables and keys get the nearest name, or the table that has the key."""
    assert problem(campaign, more) == f"campaign.toml:{line}: {said}"


@pytest.mark.parametrize(
    ("canary", "said"),
    [
        ('"a/b"', "must be a token (letters, digits and . _ ~ -) or an address"),
        ('""', "must be a text in quotation marks"),
        (f'"{"x" * 101}"', "must be a token (letters, digits and . _ ~ -) or an address"),
        ("7", "must be a text in quotation marks"),
        ('"me@"', "is not an address: "),
    ],
)
def test_no_canary(campaign: Path, canary: str, said: str) -> None:
    """Whom the unsubscribe address may unsubscribe is a token, or an address."""
    found = problem(campaign, f"[check]\ncanary = {canary}")

    assert found.startswith(f"campaign.toml:8: [check] canary {said}")


def test_all_problems_at_once(campaign: Path) -> None:
    """Both files are judged whole, and problems come in the order of their lines."""
    (campaign.parent / "mailblast.toml").write_text("[throttle]\nconnections = 0\n")
    found = problems(campaign, 'port = "x"\nconnections = true\n[dkim]\n')

    assert found == [
        "campaign.toml:7: [delivery] port must be a whole number from 1 to 65,535",
        "campaign.toml:8: [delivery] connections must be a whole number from 1 to 500",
        (
            'campaign.toml:9: [dkim] selector is missing; add selector = "mb1" to [dkim] '
            "in campaign.toml, or in mailblast.toml for every campaign"
        ),
        (
            "mailblast.toml:2: [throttle] connections must be a whole number from 1 to 500, "
            'or as "5 connections"'
        ),
    ]


def test_what_is_missing_names_the_file(campaign: Path) -> None:
    """An empty campaign is told all that it needs, and where to write it."""
    for name in ("message.txt", "recipients.csv"):
        (campaign / name).unlink()
    found = "\n".join(problems(campaign, instead=""))

    assert "[sender] from is missing; add from = " in found
    assert "[message] subject is missing" in found
    assert "[delivery] host is missing" in found
    assert "recipients.csv is not there" in found
    assert f"write one in {campaign / 'message.html'}" in found


def test_refused_value_is_not_missing_too(campaign: Path) -> None:
    """A value that is wrong is one problem, not two."""
    bad = PLAIN.replace("news@example.com", "news")

    assert problem(campaign, instead=bad).startswith(
        "campaign.toml:2: [sender] from is not"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[sender]\nfrom = nobody\n", 2),
        ("a = 1\n\n[[[\n", 3),
        ("x = [1,\n2,\n", 2),
        ("[a]\n[a]\n", 2),
        ("x = " + "9" * 5000 + "\n", 1),
        ("x = " + "[" * 5000, 0),
    ],
)
def test_syntax_errors_have_a_line(campaign: Path, text: str, line: int) -> None:
    """What is no TOML at all is told with file and line as well."""
    where = f"campaign.toml:{line}: not TOML: " if line else "campaign.toml: is nested"

    assert problem(campaign, instead=text).startswith(where)


def test_not_utf8(campaign: Path) -> None:
    """A file in Latin-1 is told the line."""
    (campaign / "campaign.toml").write_bytes(
        b"[sender]\nfrom = 'M\xfcller <a@b.example>'\n"
    )
    with pytest.raises(
        Problems, match=r"campaign\.toml:2: not UTF-8; save the file as UTF-8"
    ):
        load(campaign, campaign.parent)


def test_no_such_directory(tmp_path: Path) -> None:
    """A directory that is not there is said in a sentence."""
    with pytest.raises(UserError, match="no such directory"):
        load(tmp_path / "nothing", tmp_path)


@pytest.mark.parametrize(
    "more",
    [
        'password = "canary-7Q"',
        'password = ["canary-7Q"]',
        'password = { env = "A", file = "canary-7Q" }',
        'password = { value = "canary-7Q" }',
        'pasword = "canary-7Q"',
        'host = "user:canary-7Q@mx.example.com"',
        '[unsubscribe]\nurl = "https://u:canary-7Q@example.com/"',
        '[smtp]\npassword = "canary-7Q"',
        'password = "canary-7Q',
    ],
)
def test_secrets_are_never_repeated(campaign: Path, more: str) -> None:
    """A password in the wrong place is refused, and does not come up in what is said."""
    with pytest.raises(Problems) as caught:
        read(campaign, more)

    assert "canary" not in str(caught.value) + repr(caught.value) + str(caught.value.hint)
    assert caught.value.__cause__ is None


def test_plain_password_is_explained(campaign: Path) -> None:
    """A password as a string is refused with the three ways to give it."""
    said = problem(campaign, 'username = "u"\npassword = "x"\n')

    assert said == (
        "campaign.toml:8: a password does not belong in a file like this; write "
        'password = { env = "NAME" }, { file = "path" } or { command = "pass show x" }'
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('username = "u"', "username has no password beside it"),
        ('password = { env = "X" }', "password has no username beside it"),
        (
            'host = "mx.example.com"\nsecurity = "none"',
            'security = "none" is for a relay on',
        ),
        ('host = "mx.example.com:25"', "host must be a host name or an IP address alone"),
        ("port = 0", "port must be a whole number"),
        ("port = 1.5", "port must be a whole number"),
        ("retry = []", "retry must be a list of durations"),
        ('retry = ["1 s", "2 parsecs"]', "retry entry 2 must be a duration"),
        ('give_up_after = "0 s"', "give_up_after must be a duration"),
        ('give_up_after = "31 days"', "give_up_after must be a duration"),
        ('ehlo = "localhost"', "ehlo must be a full host name"),
        ('[unsubscribe]\nurl = "http://example.com/u"', "url must begin with https://"),
        ('[unsubscribe]\nurl = "https://example.com/u?x=1"', "url must end with its path"),
        ('[unsubscribe]\nurl = "https://example.com/u#x"', "url must end with its path"),
        ('[unsubscribe]\nurl = "https://a@example.com/u"', "url must not have a user name"),
        ('[unsubscribe]\nurl = "https://example.com/ü"', "url must begin with https://"),
        (
            '[unsubscribe]\nurl = "https://example.com:99999/"',
            "url must be an https address",
        ),
        (
            f'[unsubscribe]\nmailto = "{"a" * 27}@example.com"',
            "mailto has a local part of 27",
        ),
        ('[throttle]\nrate = "20"', "rate must be a rate"),
        ('[throttle]\nrate = "0/s"', "rate must be a rate"),
        ("[throttle]\nrate = []", "rate must be from 1 to 5 rates"),
        ('[throttle]\nrate = ["1/s", "x"]', "rate entry 2 must be a rate"),
        ('[throttle]\nrate = ["1/s", "unlimited"]', "rate entry 2 must be a rate"),
        ('[throttle]\nrate = "0.5/day"', "rate must be a rate"),
        ('[throttle]\nrate = "10001/s"', "rate must be a rate"),
        ('[throttle]\nconnections = "five connections"', "connections must be a whole"),
        ('[throttle]\nconnections = "0 connections"', "connections must be a whole"),
        ('[throttle]\nconnections = "501 connections"', "connections must be a whole"),
        ("[throttle]\nwarmup = 200", "warmup must be as `{ start"),
        ("[throttle]\nwarmup = { start = 200 }", "warmup must be as `{ start"),
        (f"{WARMUP % (0, 1.5, '2026-11-24')}", "warmup start must be a whole number"),
        (f"{WARMUP % (1, 1, '2026-11-24')}", "warmup growth must be a number above 1"),
        (f"{WARMUP % (1, 'true', '2026-11-24')}", "warmup growth must be a number above"),
        (f"{WARMUP % (1, 'inf', '2026-11-24')}", "warmup growth must be a number above"),
        (f"{WARMUP % (1, 2, '2026-11-24T00:00:00')}", "warmup day-one must be a date"),
        (f"{WARMUP % (1, 2, chr(34) * 2)}", "warmup day-one must be a date"),
        (
            '[throttle.destinations."a b"]\nrate = "1/s"',
            "rate stands under a name that must be the name of a provider",
        ),
        (
            '[throttle.destinations.gogle]\nrate = "1/s"',
            'no provider is called "gogle"; did you mean "google"?',
        ),
        ("[breaker]\nhard = 5", 'hard must be a share as "5 %"'),
        ('[breaker]\nhard = "0 %"', 'hard must be a share as "5 %"'),
        ('[breaker]\nhard = "101 %"', 'hard must be a share as "5 %"'),
        ('[breaker]\nhard = "5"', 'hard must be a share as "5 %"'),
        ('[dkim]\nselector = "m_1"', "selector must be letters"),
        ('[dkim]\nselector = "m"\ndomain = "example.net"', "does not go with example.com"),
        (
            '[dkim]\nselector = "m"\ned25519_selector = "m"',
            "ed25519_selector is m, as selector is; each key has a selector of its own",
        ),
        (
            '[dkim]\nselector = "m"\nalgorithm = "ed25519-sha256"\ned25519_selector = "e"',
            "stands beside one with RSA",
        ),
        ('[dkim]\nselector = "m"\ndomain = "com"', "domain must be a domain"),
        (
            '[dkim]\nselector = "m"\ndomain = "notexample.com"',
            "does not go with example.com",
        ),
        ('[recipients]\nencoding = "rot13"', 'encoding must be "auto" or an encoding'),
        ('[recipients]\nemail = "a\\nb"', "email has a control character or a line break"),
        ('[message.headers]\nX-A = "a\\r\\nBcc: x"', "X-A has a control character"),
        ('[message.headers]\n"X A" = "a"', "X A is not a header name"),
        ('[message.headers]\n"X:A" = "a"', "X:A is not a header name"),
        ('[message.headers]\nX-A = "a"\nx-a = "b"', "x-a stands here twice"),
    ],
)
def test_values_are_checked(campaign: Path, more: str, said: str) -> None:
    """A value of the wrong form is refused with what it must be."""
    assert said in problem(campaign, more)


@pytest.mark.parametrize(
    "name",
    [
        "Date",
        "from",
        "TO",
        "Cc",
        "Bcc",
        "Sender",
        "Reply-To",
        "Subject",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "content-x",
        "List-Unsubscribe",
        "List-X",
        "Feedback-ID",
        "DKIM-Signature",
        "Return-Path",
        "Received",
        "Precedence",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
        "Disposition-Notification-To",
    ],
)
def test_our_headers_are_ours(campaign: Path, name: str) -> None:
    """No campaign can write a header that mailblast writes, in whatever case."""
    assert "write themselves" in problem(campaign, f'[message.headers]\n{name} = "x"')


@pytest.mark.parametrize(
    ("sender", "said"),
    [
        ("A <a@b.example>, C <c@d.example>", "is not an address"),
        ("A\\r\\nBcc: <a@b.example>", "has a control character"),
        ("A\\u2028 <a@b.example>", "has a control character"),
        ("Dörte <dörte@b.example>", "must have a local part (before the @) in ASCII"),
    ],
)
def test_from_is_one_address(campaign: Path, sender: str, said: str) -> None:
    """From is exactly one mailbox that every server can take."""
    bad = PLAIN.replace("Example Shop <news@example.com>", sender)

    assert said in problem(campaign, instead=bad)


def test_return_path_leaves_room_for_the_tag(campaign: Path) -> None:
    """35 characters and a tag of 28 with its "+" are the 64 of a local part."""
    text = PLAIN.replace("[message]", 'return_path = "%s@example.com"\n[message]')

    assert (
        len(read(campaign, instead=text % ("b" * 35)).sender.return_path.mailbox) - 12 == 35
    )
    assert "at most 35 leave room" in problem(campaign, instead=text % ("b" * 36))


@pytest.mark.parametrize("domain", ["example.com", "mail.example.com"])
def test_dkim_domain_goes_with_from(campaign: Path, domain: str) -> None:
    """The signing domain may be that of From, its parent or a child."""
    for sender in ("example.com", "mail.example.com"):
        text = PLAIN.replace("@example.com", f"@{sender}")
        more = f'[dkim]\nselector = "m"\ndomain = "{domain}"'

        dkim = read(campaign, more, instead=text).dkim

        assert dkim
        assert domain == dkim.domain


@pytest.mark.parametrize("host", ["localhost", "127.0.0.9", "::1", "[::1]"])
def test_no_encryption_on_loopback_only(campaign: Path, host: str) -> None:
    """A relay on this machine may be spoken to in clear, on port 25."""
    text = PLAIN.replace('"sandbox"', '"relay"')
    found = read(campaign, f'host = "{host}"\nsecurity = "none"\n', instead=text)

    assert found.delivery.port == 25


def test_maildir_needs_a_directory(campaign: Path) -> None:
    """via = "maildir" without one is told what to add."""
    text = PLAIN.replace('"sandbox"', '"maildir"')

    assert '[delivery] maildir is missing; add maildir = "out"' in problem(
        campaign, instead=text
    )


DIRECT = PLAIN.replace('"sandbox"', '"direct"\nehlo = "mail.example.com"')


def test_direct_needs_a_name(campaign: Path) -> None:
    """Mail hosts judge by the name in EHLO, and what a machine calls itself is seldom one."""
    text = PLAIN.replace('"sandbox"', '"direct"')

    assert '[delivery] ehlo is missing; add ehlo = "' in problem(campaign, instead=text)


def test_direct_defaults(campaign: Path) -> None:
    """Port 25, the system's resolver and addresses, and no way to loopback."""
    found = read(campaign, instead=DIRECT).delivery

    assert (found.via, found.port, found.ehlo) == ("direct", 25, "mail.example.com")
    assert (found.source, found.resolver) == ((), "")
    assert (found.trust_ad, found.allow_loopback) == (False, False)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ('source = ["192.0.2.10"]', "source", ("192.0.2.10",)),
        ('source = ["2001:DB8::A", "192.0.2.1"]', "source", ("2001:db8::a", "192.0.2.1")),
        ('resolver = "127.0.0.1"', "resolver", "127.0.0.1:53"),
        ('resolver = "127.0.0.1:5353"', "resolver", "127.0.0.1:5353"),
        ('resolver = "::1"', "resolver", "[::1]:53"),
        ('resolver = "[::1]:5353"', "resolver", "[::1]:5353"),
        ("trust_ad = true", "trust_ad", True),
        ("allow_loopback = true", "allow_loopback", True),
        ("port = 2525", "port", 2525),
    ],
)
def test_direct_settings(campaign: Path, line: str, name: str, value: object) -> None:
    """Each is taken as it is written, an address in its one canonical form."""
    assert getattr(read(campaign, line, instead=DIRECT).delivery, name) == value


@pytest.mark.parametrize(
    "line",
    [
        'source = "192.0.2.10"',
        "source = []",
        'source = ["192.0.2.10", "192.0.2.11"]',
        'source = ["mail.example.com"]',
        "source = [1]",
        'resolver = "dns.example.com"',
        'resolver = "192.0.2.1:0"',
        'resolver = "192.0.2.1:70000"',
        'resolver = "::1:x"',
        "resolver = 1",
        "trust_ad = 1",
        'allow_loopback = "yes"',
    ],
)
def test_direct_settings_refused(campaign: Path, line: str) -> None:
    """What is none says what it must be."""
    key = line.partition(" ")[0]

    assert f"[delivery] {key} must be " in problem(campaign, line, instead=DIRECT)


def test_postal_address_as_text(campaign: Path) -> None:
    """A text of several lines is as good as a list of lines."""
    text = PLAIN.replace("[message]", 'postal_address = """\nShop\n1 Quay\n"""\n[message]')

    assert read(campaign, instead=text).sender.postal_address == ("Shop", "1 Quay")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30 s", 30),
        ("15 min", 900),
        ("1 h", 3600),
        ("1.5 hours", 5400),
        ("4 days", 345600),
        ("1day", 86400),
        ("1 fortnight", None),
        ("-1 h", None),
        ("1", None),
        ("", None),
        ("٣ h", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    """Durations are written in words."""
    assert seconds == duration(text)


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.lists(st.text()), st.floats()))
def test_every_form_takes_or_refuses_anything(value: object) -> None:
    """No value makes a form raise, and a refusal does not repeat the value."""
    for key in (*KEYS, *PROVIDER_KEYS):
        key.form.take(value)


@pytest.mark.parametrize(
    ("value", "rate", "words"),
    [
        ("unlimited", Rate(), "unlimited"),
        ("20/min", Rate(3.0), "20/min"),
        ("5 per second", Rate(0.2), "5/s"),
        ("1/h", Rate(3600.0), "1/h"),
        ("0.5/h", Rate(7200.0), "0.5/h"),
        ("5000/day", Rate(0.0, 5000), "5000/day"),
        (["20/min", "500/h", "5000/day"], Rate(7.2, 5000), "500/h, 5000/day"),
        (["9/day", "8/day"], Rate(0.0, 8), "8/day"),
    ],
)
def test_rates(value: object, rate: Rate, words: str) -> None:
    """A rate is a gap, a rate per day a cap; of several each holds."""
    assert (RATE.take(value), str(rate)) == (rate, words)


@pytest.mark.parametrize(
    ("value", "count"), [(5, 5), ("5 connections", 5), ("1 connection", 1)]
)
def test_connections_in_words(value: object, count: int) -> None:
    """Connections may be counted with their name."""
    assert CONNECTIONS.take(value) == count


WARMING = Warmup(200, 1.5, date(2026, 11, 24))


@pytest.mark.parametrize(
    ("days", "cap"),
    [(-3, 200), (0, 200), (1, 300), (2, 450), (3, 675), (26, 7_575_350), (27, None)],
)
def test_warm_up(days: int, cap: int | None) -> None:
    """Each day has half as much again as the one before, until ten million are passed."""
    assert WARMING.cap(WARMING.day_one + timedelta(days)) == cap


def test_warm_up_stops_at_the_normal_cap() -> None:
    """What is the limit anyway stays the limit, and a very old warm-up is none."""
    limits = Limits(rate=Rate(per_day=400), warmup=WARMING)
    caps = [limits.cap(WARMING.day_one + timedelta(n)) for n in range(4)]

    assert caps == [200, 300, 400, 400]
    assert limits.cap(date(9999, 12, 31)) == 400


# --- [suppression] ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("nonexistent", "at once", Tolerance(1)),
        ("nonexistent", "never", Tolerance(0)),
        ("policy", "3", Tolerance(3)),
        ("permanent", "2 over 24 h", Tolerance(2, 86_400)),
        ("permanent", " 2  OVER 1.5 days ", Tolerance(2, 1.5 * 86_400)),
        ("full", "3 over 30 days", Tolerance(3, 30 * 86_400)),
        ("soft", "10 over 366 days", Tolerance(10, 366 * 86_400)),
        ("soft", "never", Tolerance(0)),
    ],
)
def test_what_is_borne(tmp_path: Path, key: str, value: str, meant: Tolerance) -> None:
    """In words, for the whole workspace; and as it is shown it can be written."""
    for text in (value, str(meant)):
        (tmp_path / "mailblast.toml").write_text(f'[suppression]\n{key} = "{text}"\n')
        policy, _ = load_policy(tmp_path)
        assert getattr(policy, key) == meant


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("nonexistent", bad)
            for bad in ("0", "-1", "101", "1 over 2 days", "2 over 0 h")
        ),
        *(
            ("permanent", bad)
            for bad in ("2 in 24 h", "2 over 367 days", "2 over 3 moons", "")
        ),
        *(("full", bad) for bad in ("at once", "2 over 30 days", "3 over 13 days", "3")),
        *(("soft", bad) for bad in ("at once", "5", "2 over 14 days")),
    ],
)
def test_what_is_not_borne(tmp_path: Path, key: str, value: str) -> None:
    """Told with file, line and key, and what it must be."""
    (tmp_path / "mailblast.toml").write_text(f'[suppression]\n{key} = "{value}"\n')
    with pytest.raises(Problems) as told:
        load_policy(tmp_path)

    assert str(told.value).startswith(f"mailblast.toml:2: [suppression] {key} must be ")


def test_suppression_is_the_workspaces(campaign: Path) -> None:
    """A campaign cannot set what binds all of them; what the workspace sets it gets."""
    said = problem(campaign, '[suppression]\nfull = "never"')
    assert said.endswith(
        "[suppression] binds every campaign of the workspace; it belongs in mailblast.toml"
    )
    (campaign.parent / "mailblast.toml").write_text('[suppression]\nfull = "never"\n')
    assert read(campaign).suppression == Policy(full=Tolerance(0))
