"""The way out while messages leave: a real endpoint that stops working, and what comes of it."""

import asyncio
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from commands import letter, ok, run, the_run
from misbehaving import running
from nameservers import Nameservers, needs_nameservers
from test_endpoint import settings
from web import Website, good, trusted

from mailblast import Request, deliver, prepared
from mailblast.errors import NotReady, Refused
from mailblast.preflight.reach import Unresolved
from mailblast.runbook import RunBook
from mailblast.send import outage
from mailblast.send.outage import FAILURES, Watch
from mailblast.smtp.session.opening import verifying

pytestmark = needs_nameservers

ROWS = 40
ZONE = {"shop.example": "u A 127.0.6.1"}


@pytest.fixture
def impatient(monkeypatch):
    """It is asked again at once, so to say."""
    monkeypatch.setattr(outage, "EVERY", 0.2)
    monkeypatch.setattr(outage, "AGAIN", 0.1)


def out_of_order(failing):
    """Good, but for the GETs with these numbers; the first is the check's."""

    def answer(method, times):
        if method == "GET" and times in failing:
            return 503, {"Content-Type": "text/html"}, "Out of order"
        return good(method, times)

    return answer


@contextmanager
def campaign(home, monkeypatch, answer):
    """One to ten recipients a second, whose endpoint was in order when it began."""
    authority, ca_file = trusted(home)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    verifying.cache_clear()
    with ExitStack() as stack:
        site = stack.enter_context(Website(authority, "127.0.6.1", answer=answer))
        dns = stack.enter_context(Nameservers(ZONE))
        server = stack.enter_context(running({}))
        text = settings(dns.resolver, site.url, 'canary = "canary"')
        relay = (
            f'via = "relay"\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"'
        )
        text = text.replace('via = "direct"\nehlo = "mail.shop.example"', relay)
        rows = "".join(f"ann{n}@inbox.example,Ann\n" for n in range(ROWS))
        letter(home, rows, campaign_toml=f'{text}[throttle]\nrate = "20/s"\n')
        yield site
    verifying.cache_clear()


def others(home: Path):
    """The rules that keep this campaign from leaving, but for that of the endpoint."""
    seen = run(home, "check", "letter", "--no-dns", "--json").json["findings"]
    failing = (one["id"] for one in seen if one["status"] != "pass")
    return {rule: "a test" for rule in failing if rule != outage.RULE}


def sent(home: Path, **asked):
    """Send, from here."""
    request = Request(home / "letter", overrides=others(home), **asked)
    with prepared(request) as plan:
        return deliver(plan)


def outages(home: Path, outcome):
    """What the run book has of them."""
    return RunBook(home / ".mailblast").get("runs", outcome.run.run).get("outages")


@pytest.mark.usefixtures("impatient")
def test_it_lasts(tmp_path, monkeypatch):
    """Three failures in a row pause the run: the others get nothing that cannot be left."""
    failing = set(range(2, 99))
    with campaign(tmp_path, monkeypatch, out_of_order(failing)) as site:
        outcome = sent(tmp_path)
        accepted = the_run(tmp_path)["dispositions"]["accepted"]
        due = ok(tmp_path, "report").out
        with pytest.raises(NotReady, match="CANSPAM-OPTOUT-WORKS"):
            sent(tmp_path, resume_paused=True)
        failing.clear()
        with pytest.raises(Refused, match="is paused: The unsubscribe endpoint"):
            sent(tmp_path)
        sent(tmp_path, resume_paused=True)

    (pause,) = outcome.paused
    assert (pause.destination, pause.reason) == ("", "unsubscribe")
    why = f"The unsubscribe endpoint {site.url} does not work: it answers GET with 503."
    assert pause.why == why
    assert "Bring it up first" in due
    assert 0 < accepted < ROWS
    assert the_run(tmp_path)["dispositions"] == {"accepted": ROWS}
    (kept,) = outages(tmp_path, outcome)
    assert (kept["ended"], kept["why"]) == ("", "it answers GET with 503")
    told = " ".join(ok(tmp_path, "report", "--compliance").out.split())
    began = f"the unsubscribe endpoint was out from {kept['began']}"
    assert f"{began} and not seen to end: it answers GET with 503" in told


@pytest.mark.usefixtures("impatient")
def test_it_passes(tmp_path, monkeypatch):
    """What is mended in time is borne, and kept: the record shows when it was."""
    with campaign(tmp_path, monkeypatch, out_of_order({2, 3})) as site:
        outcome = sent(tmp_path)

    assert not outcome.paused
    assert the_run(tmp_path)["dispositions"] == {"accepted": ROWS}
    (kept,) = outages(tmp_path, outcome)
    assert kept["began"] <= kept["ended"]
    assert ok(tmp_path, "report", "--compliance", "--json").json["outages"] == [kept]
    # After the check's five questions: two GETs that fail, and one after which a POST follows.
    assert [method for method, *_ in site.seen[5:9]] == ["GET", "GET", "GET", "POST"]


@pytest.mark.usefixtures("impatient")
def test_nothing_is_known():
    """Where the DNS is silent nothing is known of the endpoint: nothing is written or paused."""
    asked = []

    async def look():
        asked.append(1)
        return Unresolved("u.shop.example: no answer")

    async def main():
        watching = asyncio.create_task(Watch(plan=None, standing=None).keep(look))
        await asyncio.sleep(1.5)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    asyncio.run(main())

    assert len(asked) > FAILURES
