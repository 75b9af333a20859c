"""The rules of the unsubscribe endpoint: each as it reads, then against real servers."""

import asyncio
import re
import socket
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from checking import TODAY, campaign, facts, findings, says
from commands import SETTINGS, letter, ok, run
from hypothesis import given
from hypothesis import strategies as st
from nameservers import Nameservers, needs_nameservers
from scripted_dns import ScriptedDns, silence
from web import (
    HEAD,
    PAGE,
    Rude,
    Website,
    breaks_off,
    bursts,
    drips,
    floods,
    page,
    says_nothing,
    slow,
    trusted,
)

from mailblast import Ledger, tag
from mailblast.address import parse
from mailblast.check import landing
from mailblast.check.endpoint import FORM, MULTIPART, Doorway, Said, Tried
from mailblast.check.facts import History
from mailblast.errors import Refusal
from mailblast.preflight import endpoint as probing
from mailblast.preflight import reach
from mailblast.preflight.endpoint import NO_CANARY, NO_URL
from mailblast.preflight.reach import Reach
from mailblast.preflight.web import NOT_ASKED, PRACTICE
from mailblast.resolver import Resolver

HOST = "u.shop.example"
URL = f"https://{HOST}/u/canary"
DOOR = Doorway(HOST, TODAY + timedelta(90))
NO_ANSWER = Refusal("no answer within 6 s")
BULK = "bulk-senders"
RULES = (
    *("WEB-TLS", "WEB-ONECLICK-POST", "WEB-GET-SAFE", "CANSPAM-OPTOUT-WORKS"),
    *("CANSPAM-OPTOUT-30DAYS", "CANSPAM-OPTOUT-ALL", "CANSPAM-OPTOUT-BURDEN"),
)
DIRECT = 'via = "direct"\nehlo = "mail.shop.example"'


def said(text=PAGE, status=200, kind="text/html", leads=""):
    return Said(status, kind, text, leads)


DONE = said("Gone.", kind="text/plain")


def tried(get=None, **answers):
    """What a good endpoint says, changed in one place."""
    given = {"get": get or said(), "head": said(""), "form": DONE, "multipart": DONE}
    return Tried(URL, **{**given, "again": DONE, **answers})


def status(rule, *groups, pack="can-spam", canary="canary", url_ends=None):
    """What a rule says of the endpoint."""
    made = campaign(declared={"canary": canary}, unsubscribe={"url_ends": url_ends})
    (one,) = findings(rule, facts(made, *groups), pack)
    return str(one.status)


# -- The rules ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("door", "expected"),
    [
        (DOOR, "pass"),
        (Doorway(HOST, TODAY + timedelta(31)), "pass"),
        (Doorway(HOST, TODAY + timedelta(30)), "warn"),
        (
            Doorway(HOST, None, "the certificate is not valid: expired", untrusted=True),
            "fail",
        ),
        (Doorway(HOST, None, "connection refused", unreached=True), "skip"),
    ],
)
def test_the_certificate(door, expected):
    """WEB-TLS: valid, and for thirty days more."""
    assert status("WEB-TLS", door, pack=BULK) == expected


WALL = "<title>Just a moment...</title><script>window._cf_chl_opt={}</script>"


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({}, ""),
        (
            {"get": said(PAGE.replace("<form", '<form action="http://u.shop.example/x"'))},
            "the page sends its form in clear text",
        ),
        ({"form": said("", 301, leads="HTTP://u.shop.example/x")}, "led on to http:"),
        ({"form": said("", 301, leads="https://u.shop.example/x")}, ""),
        ({"get": said(WALL, 403)}, "a firewall asks for proof"),
        (
            {"get": said("<script src=/_Incapsula_Resource?x=1></script>")},
            "a firewall asks for proof",
        ),
        # What a firewall puts into a good page.
        ({"get": said(f"<script src=/_Incapsula_Resource?x=1></script>{PAGE}")}, ""),
    ],
)
def test_a_way_that_is_of_no_use(answers, problem):
    """WEB-TLS: encrypted to its end, and open."""
    found = says("WEB-TLS", facts(None, DOOR, tried(**answers)), BULK)

    assert str(found.status) == ("fail" if problem else "pass")
    assert problem in found.message


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, "pass"),
        ({"form": said("", 202)}, "pass"),
        *(
            ({"form": said("", code)}, "fail")
            for code in (301, 401, 403, 405, 415, 429, 500)
        ),
        ({"multipart": said("", 415)}, "fail"),
        ({"again": said("", 410)}, "fail"),
        ({"form": NO_ANSWER, "multipart": NO_ANSWER, "again": NO_ANSWER}, "fail"),
    ],
)
def test_one_click_takes_a_post(answers, expected):
    """WEB-ONECLICK-POST: in both encodings, at once, and again."""
    assert status("WEB-ONECLICK-POST", tried(**answers), pack=BULK) == expected


def test_what_is_said_of_a_post():
    """Which encoding, and what came of it."""
    second = says("WEB-ONECLICK-POST", facts(None, tried(again=said("", 410))), BULK)
    other = says("WEB-ONECLICK-POST", facts(None, tried(multipart=said("", 415))), BULK)

    assert f"POST {URL} ({FORM}) answered 410 the second time;" in second.message
    assert f"POST {URL} ({MULTIPART}) answered 415;" in other.message


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, "pass"),
        ({"get": said("<p>You have been unsubscribed.</p>")}, "fail"),
        ({"get": said("<p>Sie wurden erfolgreich abgemeldet.</p>")}, "fail"),
        # Somebody tried the canary before: that it says so and has a button is as it should be.
        ({"get": said("<p>You are unsubscribed.</p><form method=post><button>")}, "pass"),
        ({"get": said("<form action=/leave><button>Unsubscribe</button></form>")}, "warn"),
        ({"get": said("{}", kind="application/json")}, "warn"),
        ({"head": said("", 405)}, "warn"),
        ({"get": said("", 404)}, "skip"),
        ({"get": NO_ANSWER}, "skip"),
    ],
)
def test_looking_changes_nothing(answers, expected):
    """WEB-GET-SAFE: a page with a button that sends by POST."""
    assert status("WEB-GET-SAFE", tried(**answers), pack=BULK) == expected


@pytest.mark.parametrize(
    ("groups", "canary", "expected"),
    [
        ((DOOR, tried()), "canary", "pass"),
        ((DOOR, tried(said("", 503))), "canary", "fail"),
        ((DOOR, tried(form=said("", 500))), "canary", "fail"),
        ((DOOR, tried(NO_ANSWER)), "canary", "fail"),
        ((Doorway(HOST, None, f"{HOST} has no address"),), None, "fail"),
        ((Doorway(HOST, None, "connection refused", unreached=True),), "canary", "fail"),
        # It may be our firewall: nobody said that it can be tried from here.
        ((Doorway(HOST, None, "connection refused", unreached=True),), None, "warn"),
        ((DOOR,), None, "skip"),
    ],
)
def test_it_works(groups, canary, expected):
    """CANSPAM-OPTOUT-WORKS: it is there, and both methods succeed."""
    assert status("CANSPAM-OPTOUT-WORKS", *groups, canary=canary) == expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [(None, "pass"), (60, "pass"), (59, "warn"), (30, "warn"), (29, "fail")],
)
def test_the_links_last(days, expected):
    """CANSPAM-OPTOUT-30DAYS: thirty days after the last message, better sixty."""
    ends = None if days is None else TODAY + timedelta(days)

    assert status("CANSPAM-OPTOUT-30DAYS", DOOR, url_ends=ends) == expected


MENU = """<h1>Unsubscribe</h1><form method=post>
<label><input type=checkbox name=news> Newsletter</label>
<input type=checkbox id=o name=offers><label for=o>Offers</label>{}</form>"""


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (PAGE, "pass"),
        (MENU.format(""), "fail"),
        (
            MENU.format("<label><input type=checkbox>Unsubscribe from everything</label>"),
            "pass",
        ),
        (MENU.format("<input type=radio value=all>"), "pass"),
        (
            MENU.format("<label><input type=checkbox>Von allen Listen abmelden</label>"),
            "pass",
        ),
        (MENU.format("<button>Unsubscribe from all</button>"), "pass"),
        (MENU.format("<input type=submit value='Opt out of everything'>"), "pass"),
        (MENU.format("<a href=/x>Remove me from all lists</a>"), "pass"),
        (MENU.format("<a href=/x>See all offers</a><button>Select all</button>"), "fail"),
        ("<p>Unsubscribe<select><option>News<option>Offers</select>", "fail"),
        # Nobody here reads that.
        ("<select><option>Jarida<option>Matoleo</select>", "warn"),
        ("<select><option>News<option>All mail</select>", "pass"),
        ("<label><input type=checkbox> I am sure</label>", "pass"),
    ],
)
def test_one_choice_ends_all_mail(html, expected):
    """CANSPAM-OPTOUT-ALL: where there is a menu."""
    assert status("CANSPAM-OPTOUT-ALL", tried(said(html))) == expected


@pytest.mark.parametrize(
    ("get", "step"),
    [
        (said(), ""),
        (
            said(
                '<form method=post><input type=email name=email required value="a@b.example">'
            ),
            "",
        ),
        (said("<form method=post><input name=reason>"), ""),
        (said("<form method=post><textarea name=reason required>"), 'the field "reason"'),
        (said("<form method=post><input required name=phone>"), 'the field "phone"'),
        (said("<form method=post><input type=password>"), "a password"),
        (said("<form><input autocomplete=cc-number>"), "a payment"),
        (
            said("<script src=https://www.google.com/recaptcha/api.js></script>"),
            "a CAPTCHA",
        ),
        (said("<div class=cf-turnstile></div>"), "a CAPTCHA"),
        # Cloudflare counts robots with it, and asks nobody.
        (said("<script src=/cdn-cgi/challenge-platform/scripts/jsd/main.js></script>"), ""),
        (said("", 302, leads="/login"), "a second page"),
    ],
)
def test_the_page_asks_for_nothing(get, step):
    """CANSPAM-OPTOUT-BURDEN: no login, no fee, no riddle, no questions."""
    one = says("CANSPAM-OPTOUT-BURDEN", facts(None, tried(get)))

    assert str(one.status) == ("fail" if step else "pass")
    assert step in one.message


@pytest.mark.parametrize(
    ("get", "expected"),
    [(said(), ["pass", "pass"]), (said("<input type=password>"), ["pass", "fail"])],
)
def test_australia_wants_no_login(get, expected):
    """AU-OPTOUT: in time, and by a page that asks for nothing."""
    told = facts(None, History(1, ()), tried(get))
    late, page_ = findings("AU-OPTOUT", told, "spam-act-au")

    assert [late.status, page_.status] == expected
    assert page_.message in ("", "Spam Act: the unsubscribe page needs a password.")


def test_no_second_mail():
    """CANSPAM-OPTOUT-BURDEN: nor a mail that must be answered."""
    sent = tried(form=said("<p>Please check your e-mail and confirm.</p>"))

    assert status("CANSPAM-OPTOUT-BURDEN", sent) == "fail"
    assert status("CANSPAM-OPTOUT-BURDEN", tried(NO_ANSWER)) == "skip"


# What a page is made of, whole and broken.
PIECES = [
    *PAGE.split("<"),
    *MENU.split("<"),
    *("<p>", "<b>", "<a>", "<table>", "<td>", "<select>", "<svg>", "<math>", "<template>"),
    *(
        "<frameset>",
        "<plaintext>",
        "<textarea>",
        "</b>",
        "</p>",
        "</x>",
        "<br/>",
        "<label>",
    ),
    *("<!--", "-->", "<![CDATA[", "&#0;", "&notit;", "\0", "\x1b", "<a '", '="', "<", ">"),
    *("<input type=radio>", "<input required>", "<form method=post>", "<iframe src=x>"),
]


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_whatever_the_page_is(html):
    """It is read, or refused."""
    assert isinstance(landing.read(html), landing.Landing | Refusal)


@pytest.mark.parametrize(
    ("html", "why"),
    [
        ("<div>" * 10_000, "nested"),
        # End tags that close nothing hide how deep it is.
        ("<div></x>" * 20_000, "nested"),
        (f"<svg>{'<g></q>' * 20_000}", "nested"),
        (f"<p {' '.join(f'a{n}' for n in range(30_000))}>", "attributes"),
        ("<>" * 100_000, "faults"),
        ("x" * 1_000_000, "characters"),
    ],
)
def test_a_page_beyond_all_bounds(html, why):
    """It is refused, and what it would have told is not known."""
    assert why in str(landing.read(html))
    assert status("CANSPAM-OPTOUT-ALL", tried(said(html))) == "skip"


@pytest.mark.parametrize("word", ["been ", "sind ", "erfolgreich "])
def test_a_page_of_one_word(word):
    """Words are looked for in a time that grows with the page, and not with its square."""
    assert status("WEB-GET-SAFE", tried(said(word * 20_000)), pack=BULK) == "warn"


def test_a_label_around_a_thousand_boxes():
    """Its words are read once, and few of them shown."""
    html = f"<label>News {'<input type=checkbox>' * 5_000} {'x' * 1_000}</label>"

    assert set(landing.read(html).choices) == {f"News {'x' * 1_000}"[:200]}


# -- Real servers -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Who signs the certificates here, and the file that says so."""
    return trusted(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def authority(known):
    return known[0]


@pytest.fixture(scope="module")
def ca_file(known):
    return known[1]


def probe(ca_file: Path, url: str, *, script=None, loopback: bool = True):
    """Who answers there, and what the canary's link comes to."""

    async def main():
        async with ScriptedDns(script or {(HOST, "A"): "127.0.6.1"}) as dns:
            way = Reach(Resolver(dns.server), allow_loopback=loopback, ca_file=ca_file)
            return await probing.doorway(url, way), await probing.tried(
                f"{url}/canary", way
            )

    return asyncio.run(main())


def test_a_good_endpoint(authority, ca_file):
    """What is asked of it, in which order, is all that RFC 8058 says."""
    with Website(authority, "127.0.6.1") as site:
        door, answers = probe(ca_file, site.url)

    assert door.ends > datetime.now(UTC).date()
    assert answers.get == said()
    assert [one.status for one in (answers.form, answers.multipart, answers.again)] == [
        200
    ] * 3
    methods = [(method, path, kind) for method, path, kind, _ in site.seen]
    assert methods == [
        ("GET", "/u/canary", ""),
        ("HEAD", "/u/canary", ""),
        *[("POST", "/u/canary", kind) for kind in (FORM, MULTIPART, FORM)],
    ]
    assert site.seen[2][3] == b"List-Unsubscribe=One-Click"
    assert b'name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--' in site.seen[3][3]


@pytest.mark.parametrize(
    ("certificate", "name"),
    [
        ({"not_after": datetime(2026, 1, 1, tzinfo=UTC)}, HOST),
        ({}, "other.example"),
    ],
)
def test_a_certificate_that_is_none(authority, ca_file, certificate, name):
    """Expired, or another's: nothing is asked there."""
    with Website(authority, "127.0.6.1", name, **certificate) as site:
        door, answers = probe(ca_file, site.url.replace(name, HOST))

    assert door.untrusted
    assert "certificate" in door.why
    assert isinstance(answers.get, Refusal)
    assert not site.seen


def test_an_authority_that_nobody_knows(ca_file):
    """A certificate that another has signed."""
    with Website(trustme.CA(), "127.0.6.1") as site:
        door, _ = probe(ca_file, site.url)

    assert door.untrusted


def test_a_redirect_is_not_followed(authority, ca_file):
    """It is told where it leads."""
    with Website(authority, "127.0.6.1", answer=page("", 302, Location="/login")) as site:
        _, answers = probe(ca_file, site.url)

    assert answers.get == said("", 302, leads="/login")
    assert all(path == "/u/canary" for _, path, _, _ in site.seen)


def test_a_page_without_end(authority, ca_file):
    """More than is looked at: refused, and nothing more is asked."""
    with Website(authority, "127.0.6.1", answer=page("x" * 3_000_000)) as site:
        _, answers = probe(ca_file, site.url)

    assert "more than" in str(answers.get)
    assert answers.form == answers.get
    assert [method for method, *_ in site.seen] == ["GET"]


@pytest.mark.parametrize(
    ("head", "meta", "charset"),
    [
        ("; charset=windows-1251", "", "windows-1251"),
        ("", '<meta charset="windows-1251">', "windows-1251"),
        ("", "<meta http-equiv=x content='text/html; charset=windows-1251'>", "cp1251"),
        ("; charset=no-such", "", "utf-8"),
    ],
)
def test_letters_that_are_not_ours(authority, ca_file, head, meta, charset):
    """A page is read in its own charset."""
    choices = "<form method=post><select><option>Новости<option>Отписаться от всех, все"
    start = HEAD.replace(b"text/html", f"text/html{head}".encode())
    html = f"<html>{meta}{choices}</select></form>"
    act = bursts(start + b"\r\n" + html.encode(charset))

    _, answers, _ = rude(authority, ca_file, act)

    assert answers.get.text == html
    assert status("CANSPAM-OPTOUT-ALL", answers) == "pass"


def rude(authority, ca_file, act):
    """What is seen of a server that does this, and how often it was asked."""

    async def main():
        async with (
            ScriptedDns({(HOST, "A"): "127.0.6.1"}) as dns,
            Rude(authority, "127.0.6.1", HOST, act) as site,
        ):
            way = Reach(Resolver(dns.server), allow_loopback=True, ca_file=ca_file)
            door = await probing.doorway(site.url, way)
            answers = await probing.tried(f"{site.url}/canary", way)
            return door, answers, site.asked

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (says_nothing, "no HTTP"),
        (breaks_off, ""),
        (bursts(bytes(range(256)) * 100), "no HTTP"),
        (bursts(b"220 mail.shop.example ESMTP\r\n"), "no HTTP"),
        (bursts(HEAD + b"Content-Length: 1000\r\n\r\nhalf"), "no HTTP"),
        (bursts(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "no HTTP"),
        (bursts(HEAD + b"X: y\r\n" * 1_000 + b"\r\n"), "no HTTP"),
        (drips(b""), "no answer within 0.5 s"),
        (drips(HEAD + b"\r\n"), "no answer within 0.5 s"),
    ],
)
def test_whoever_speaks_no_http(authority, ca_file, monkeypatch, act, why):
    """Is asked once; the certificate is good, and the way out is not there."""
    monkeypatch.setattr(reach, "SECONDS", 0.5)
    door, answers, asked = rude(authority, ca_file, act)

    assert why in str(answers.get)
    assert (answers.again, asked) == (answers.get, 1)
    assert status("WEB-TLS", door, answers, pack=BULK) == "pass"
    assert status("CANSPAM-OPTOUT-WORKS", door, answers) == "fail"
    assert status("WEB-ONECLICK-POST", answers, pack=BULK) == "fail"
    assert status("WEB-GET-SAFE", answers, pack=BULK) == "skip"
    assert status("CANSPAM-OPTOUT-BURDEN", answers) == "skip"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD + b"\r\n", b"x" * 65_536),
        (HEAD, b"X: y\r\n" * 10_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
    ],
)
def test_a_gigabyte(authority, ca_file, start, piece):
    """A little of it is read, and no more."""
    sent: list[int] = []
    _, answers, asked = rude(authority, ca_file, floods(start, piece, sent))

    assert "more than" in str(answers.get)
    assert asked == 1
    assert sent[0] < 2**25


LOGIN = '<form method="post"><input name="user"><input type="password" name="pw"></form>'
CAPTCHA = PAGE.replace(
    "<form", "<script src='https://hcaptcha.com/1/api.js'></script><form"
)


@pytest.mark.parametrize(
    ("answer", "faults"),
    [
        (page(PAGE), {}),
        (
            page("", 302, Location="/login"),
            {
                "CANSPAM-OPTOUT-WORKS": "fail",
                "CANSPAM-OPTOUT-BURDEN": "fail",
                "WEB-GET-SAFE": "skip",
            },
        ),
        (page(LOGIN), {"CANSPAM-OPTOUT-BURDEN": "fail"}),
        (page(CAPTCHA), {"CANSPAM-OPTOUT-BURDEN": "fail"}),
        (
            page(LOGIN, 401),
            {
                "CANSPAM-OPTOUT-WORKS": "fail",
                "CANSPAM-OPTOUT-BURDEN": "fail",
                "WEB-GET-SAFE": "skip",
            },
        ),
        (page(MENU.format("")), {"CANSPAM-OPTOUT-ALL": "fail"}),
        (page("<p>You have been unsubscribed."), {"WEB-GET-SAFE": "fail"}),
        (
            page(WALL, 403),
            {"WEB-TLS": "fail", "CANSPAM-OPTOUT-WORKS": "fail", "WEB-GET-SAFE": "skip"},
        ),
    ],
)
def test_each_fault_at_a_real_server(authority, ca_file, answer, faults):
    """Each rule says what is wrong, and no other does."""
    with Website(authority, "127.0.6.1", answer=answer) as site:
        groups = probe(ca_file, site.url)
    seen = {
        rule: status(rule, *groups, pack=BULK if rule.startswith("WEB") else "can-spam")
        for rule in RULES
    }

    assert {rule: found for rule, found in seen.items() if found != "pass"} == faults


def test_whoever_is_slow(authority, ca_file, monkeypatch):
    """Has so long and no longer."""
    monkeypatch.setattr(reach, "SECONDS", 0.3)
    with Website(authority, "127.0.6.1", answer=slow(1)) as site:
        door, answers = probe(ca_file, site.url)

    assert door.ends is not None
    assert "no answer within 0.3 s" in str(answers.get)
    assert answers.again == answers.get


def test_nobody_there(ca_file):
    """No connection, no name, no answer of the DNS, an address that is not for the world."""
    unreached, _ = probe(ca_file, f"https://{HOST}:9/u")
    nameless, _ = probe(
        ca_file, f"https://{HOST}/u", script={("other.example", "A"): "127.0.0.1"}
    )
    unknown, _ = probe(ca_file, f"https://{HOST}/u", script={(HOST, "A"): silence})
    private, answers = probe(ca_file, f"https://{HOST}/u", loopback=False)

    assert unreached.unreached
    assert (nameless.ends, nameless.unreached) == (None, False)
    assert isinstance(unknown, Refusal)
    assert "no address on the public Internet" in private.why
    assert isinstance(answers.get, Refusal)


def test_whoever_is_behind_a_firewall(ca_file, monkeypatch):
    """What drops packets, and refuses nothing, is not known to be out of order either."""
    monkeypatch.setattr(reach, "SECONDS", 0.4)
    with ExitStack() as stack:
        full = stack.enter_context(closing(socket.socket()))
        full.bind(("127.0.6.1", 0))
        full.listen(0)  # its queue holds one that nobody accepts; others are not heard
        for _ in range(3):
            waiting = stack.enter_context(closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        door, _ = probe(ca_file, f"https://{HOST}:{full.getsockname()[1]}/u")

    assert door.unreached
    assert door.why == f"{HOST}: no connection within 0.4 s"


# -- The commands -------------------------------------------------------------------------


def settings(resolver: str, url: str, check: str) -> str:
    """A sender whose unsubscribe endpoint stands on loopback."""
    assert "[check]\ndns = false\n" in SETTINGS
    base = SETTINGS.replace("[check]\ndns = false\n", f"[check]\n{check}\n")
    base = base.replace("https://u.shop.example/u", url)
    delivery = f'[delivery]\n{DIRECT}\nresolver = "{resolver}"\n'
    return f"{base}{delivery}allow_loopback = true\n"


def found(workspace: Path, ca_file: Path) -> dict[str, tuple[str, str]]:
    """What `check` says of the endpoint."""
    ran = ok(
        workspace,
        "check",
        "letter",
        "--json",
        status=4,
        env={"SSL_CERT_FILE": str(ca_file)},
    )
    return {one["id"]: (one["status"], one["evidence"]) for one in ran.json["findings"]}


@needs_nameservers
def test_check_asks_the_endpoint(tmp_path, authority, ca_file):
    """With a canary all of it; without one nobody is unsubscribed, and it says so."""
    letter(tmp_path, "ann@inbox.example,Ann\n")
    toml = tmp_path / "letter/campaign.toml"
    zone = {"shop.example": "u A 127.0.6.1"}
    with Website(authority, "127.0.6.1") as site, Nameservers(zone) as dns:
        toml.write_text(settings(dns.resolver, site.url, 'canary = "canary"'))
        whole = found(tmp_path, ca_file)
        asked = len(site.seen)
        toml.write_text(settings(dns.resolver, site.url, ""))
        part = found(tmp_path, ca_file)

    assert {rule: whole[rule][0] for rule in RULES} == dict.fromkeys(RULES, "pass")
    assert asked == len(site.seen) == 5
    assert part["WEB-TLS"][0] == part["CANSPAM-OPTOUT-30DAYS"][0] == "pass"
    assert part["WEB-GET-SAFE"] == ("skip", NO_CANARY.why)


ME = "me@inbox.example"


@needs_nameservers
def test_a_canary_with_an_address(tmp_path, authority, ca_file):
    """It has the very link of the last message to it, which an endpoint knows for genuine."""
    home = letter(tmp_path, "ann@inbox.example,Ann\n")
    with (
        Website(authority, "127.0.6.1") as site,
        Nameservers({"shop.example": "u A 127.0.6.1"}) as dns,
    ):
        text = settings(dns.resolver, site.url, f'canary = "{ME}"')
        (home / "campaign.toml").write_text(text)
        before = found(tmp_path, ca_file)
        asked = list(site.seen)
        offline = text.replace(f"\n{DIRECT}\n", '\nvia = "maildir"\nmaildir = "../out"\n')
        offline = offline.replace("[check]\n", "[check]\ndns = false\n")
        (home / "campaign.toml").write_text(offline)
        ok(tmp_path, "send", "letter", "--to-me", ME, "--yes")
        (home / "campaign.toml").write_text(text)
        after = found(tmp_path, ca_file)
        tried_once = len(site.seen)
        spends_no_canary(tmp_path, ca_file)

    assert not asked
    assert tried_once == len(site.seen) == 5
    why = f"nothing was sent to {ME} yet: mailblast send letter --to-me {ME}"
    assert before["WEB-ONECLICK-POST"] == ("skip", why)
    assert after["WEB-ONECLICK-POST"][0] == "pass"
    (token,) = {path.removeprefix("/u/") for _, path, _, _ in site.seen}
    (sent,) = (tmp_path / "out").glob("*.eml")
    assert f"/u/{token}>" in re.sub(r"\r?\n ", "", sent.read_text())
    assert whose(tmp_path, token) == ME


def spends_no_canary(workspace: Path, ca_file: Path) -> None:
    """Whoever attests, tries out or rehearses has nobody unsubscribed."""
    word = ("--attest", "CANSPAM-ADDRESS-FORM", "--by", "Ada Lovelace")
    for command in (
        ("check", "letter", *word),
        ("send", "letter", "--to-me", ME, "--yes"),
        ("send", "letter", "--rehearse", "--yes"),
        ("check", "letter", "--no-dns"),
    ):
        run(workspace, *command, env={"SSL_CERT_FILE": str(ca_file)})


def whose(workspace: Path, token: str) -> str:
    """As docs/sending.md has it."""
    keyring = tag.parse_keyring((workspace / ".mailblast/secret.key").read_text())
    with closing(Ledger(workspace / ".mailblast")) as ledger:
        delivery = ledger.deliveries.numbered(tag.read(token).delivery)
        run_ = ledger.runs.numbered(delivery.run)
        assert tag.genuine(keyring, "unsubscribe", run_.run, tag.read(token))
        return delivery.mailbox


def test_the_last_message_to_an_address(tmp_path):
    """Of a list or a sample, whichever came later."""
    delivery = '[delivery]\nvia = "maildir"\nmaildir = "../out"\n'
    letter(tmp_path, "ann@inbox.example,Ann\n", delivery=delivery)
    kinds = []
    for more in (), ("--to-me", "Ann@inbox.example"), ("--new-run",):
        ok(tmp_path, "send", "letter", "--yes", *more)
        with closing(Ledger(tmp_path / ".mailblast")) as ledger:
            last = ledger.deliveries.last_to(parse("Ann@inbox.example"))
            kinds.append(ledger.runs.numbered(last.run).kind)
            assert ledger.deliveries.last_to(parse("bo@inbox.example")) is None

    assert kinds == ["campaign", "sample", "campaign"]


OUT_OF_ORDER = {
    "WEB-TLS": "warn",
    "WEB-ONECLICK-POST": "fail",
    "WEB-GET-SAFE": "fail",
    "CANSPAM-OPTOUT-WORKS": "fail",
    "CANSPAM-OPTOUT-30DAYS": "fail",
    "CANSPAM-OPTOUT-ALL": "fail",
    "CANSPAM-OPTOUT-BURDEN": "fail",
}


def out_of_order(method, _):
    """Everything that an endpoint can get wrong."""
    if method == "POST":
        return 302, {"Location": "/login"}, ""
    menu = "<p>You have been unsubscribed.<select><option>News<option>Offers</select>"
    return 200, {"Content-Type": "text/html"}, f"{menu}<input type=password>"


@needs_nameservers
def test_an_endpoint_with_every_fault(tmp_path, authority, ca_file):
    """Each rule says so."""
    letter(tmp_path, "ann@inbox.example,Ann\n")
    zone = {"shop.example": "u A 127.0.6.1"}
    soon = datetime.now(UTC) + timedelta(10)
    site = Website(authority, "127.0.6.1", answer=out_of_order, not_after=soon)
    with site, Nameservers(zone) as dns:
        text = settings(dns.resolver, site.url, 'canary = "canary"')
        ends = f"[unsubscribe]\nurl_ends = {soon.date()}"
        (tmp_path / "letter/campaign.toml").write_text(text.replace("[unsubscribe]", ends))
        seen = found(tmp_path, ca_file)

    assert {rule: seen[rule][0] for rule in RULES} == OUT_OF_ORDER


@needs_nameservers
def test_send_asks_it_too(tmp_path, authority, ca_file):
    """An endpoint that is out of order keeps real mail from leaving."""
    letter(tmp_path, "ann@inbox.example,Ann\n")
    zone = {"shop.example": "u A 127.0.6.1"}
    broken = page("Out of order", 503)
    with Website(authority, "127.0.6.1", answer=broken) as site, Nameservers(zone) as dns:
        toml = settings(dns.resolver, site.url, 'canary = "canary"')
        (tmp_path / "letter/campaign.toml").write_text(toml)
        ran = ok(
            *(tmp_path, "send", "letter", "--yes"),
            status=4,
            env={"SSL_CERT_FILE": str(ca_file)},
        )

    assert "CANSPAM-OPTOUT-WORKS: The unsubscribe endpoint" in ran.err
    assert "GET: 503" in ran.err


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, NOT_ASKED.why),
        ({"dns = false": "", "via": 'via = "sandbox"'}, PRACTICE.why),
    ],
)
def test_nobody_is_asked_unbidden(tmp_path, changes, why):
    """Not with dns = false, and not in practice."""
    delivery = f'[delivery]\n{changes.pop("via", DIRECT)}\nresolver = "127.0.0.1:1"\n'
    text = f"{SETTINGS}{delivery}"
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    letter(tmp_path, "ann@inbox.example,Ann\n", campaign_toml=text)

    ran = run(tmp_path, "check", "letter", "--json")

    seen = {one["id"]: (one["status"], one["evidence"]) for one in ran.json["findings"]}
    assert seen["WEB-GET-SAFE"] == ("skip", why)


def test_without_an_address_there_is_nothing_to_try():
    """What opts out by mail alone has no page."""
    assert probing.link(campaign(unsubscribe={"url": ""}), None) == NO_URL
