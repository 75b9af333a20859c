"""Which destination a domain belongs to, which limits it has, and which rule said so."""

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
from campaigns import PLAIN, make, problems, read

from mailblast.campaign import Limits, Rate, Throttles, Warmup, load_limits
from mailblast.campaign.providers import KEYS, Profiles, built_in
from mailblast.errors import Problems
from mailblast.learnt import Learnt
from mailblast.provider import Destinations

ROOT = Path(__file__).parents[1]
BUILT_IN = Destinations(Profiles(built_in(), {}), Throttles({}, {}), direct=True)


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """A directory with all that a campaign needs."""
    return make(tmp_path / "spring")


def table(campaign: Path, more: str = "", own: str = "", *, direct: bool = True):
    """The table of a campaign with these settings, in a workspace with this file."""
    if own:
        (campaign.parent / "destinations.toml").write_text(own)
    found = read(campaign, more)
    return Destinations(found.providers, found.throttle, direct=direct)


# --- Which destination --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "destination"),
    [
        ("gmail.com", "google"),
        ("googlemail.com", "google"),
        ("outlook.com", "outlook"),
        ("hotmail.co.uk", "outlook"),
        ("live.com.ar", "outlook"),
        ("live.nl", "outlook"),
        ("live.shop.example", "live.shop.example"),
        ("live.example", "live.example"),
        ("nothotmail.com", "nothotmail.com"),
        ("yahoo.fr", "yahoo"),
        ("yahoo.co.jp", "yahoo-japan"),
        ("aol.com", "yahoo"),
        ("me.com", "icloud"),
        ("gmx.at", "gmx-webde"),
        ("gmx.net", "gmx-webde"),
        ("web.de", "gmx-webde"),
        ("wanadoo.fr", "orange"),
        ("example.com", "example.com"),
    ],
)
def test_by_name_alone(domain: str, destination: str) -> None:
    """Where no mail hosts are known, the large domains are known by their names."""
    assert BUILT_IN.place(domain).destination == destination


@pytest.mark.parametrize(
    ("hosts", "destination", "provider"),
    [
        (["aspmx.l.google.com"], "google", "google"),
        (["ASPMX.L.GOOGLE.COM."], "google", "google"),
        (["mta5.am0.yahoodns.net", "mta6.am0.yahoodns.net"], "yahoo", "yahoo"),
        (["outlook-com.olc.protection.outlook.com"], "outlook", "outlook"),
        (
            ["example-org.mail.protection.outlook.com"],
            "example-org.mail.protection.outlook.com",
            "m365",
        ),
        (["example-org.a-v1.mx.microsoft"], "example-org.a-v1.mx.microsoft", "m365"),
        (
            ["eu-smtp-inbound-2.mimecast.com", "eu-smtp-inbound-1.mimecast.com"],
            "eu-smtp-inbound-1.mimecast.com",
            "mimecast",
        ),
        (["mx2.mail.example", "mx1.mail.example"], "mx1.mail.example", ""),
        (["google.com.mail.example"], "google.com.mail.example", ""),
        (["notgoogle.com"], "notgoogle.com", ""),
    ],
)
def test_by_mail_hosts(hosts: list[str], destination: str, provider: str) -> None:
    """Mail hosts decide: whose they are by their endings, and else the first of them."""
    placed = BUILT_IN.place("example.org", hosts)

    assert (placed.destination, placed.provider) == (destination, provider)


def test_domains_that_share_a_host_are_one() -> None:
    """Also where nobody has heard of it, and in whatever order the DNS gives them."""
    hosts = ["mx-a.host.example", "mx-b.host.example"]

    assert BUILT_IN.place("one.example", hosts) == BUILT_IN.place("two.test", hosts[::-1])


def test_mail_hosts_beat_what_is_known_by_name() -> None:
    """A domain that has moved is where its hosts are."""
    assert BUILT_IN.place("cox.net", ["mta5.am0.yahoodns.net"]).destination == "yahoo"
    assert BUILT_IN.place("cox.net", ["mx.new.example"]).destination == "mx.new.example"


def test_what_the_campaign_names_is_a_destination(campaign: Path) -> None:
    """A domain, or a mail host, with the limits of its provider where it has none itself."""
    found = table(
        campaign,
        '[throttle.destinations."shop.example"]\nconnections = 1\n'
        '[throttle.destinations."mx9.example"]\nconnections = 3\n',
    )
    placed = found.place("shop.example", ["aspmx.l.google.com"])
    assert (placed.destination, placed.provider) == ("shop.example", "google")
    assert placed.why == "the campaign names shop.example"
    limits = found.limits(placed.destination, placed.provider)
    assert (limits.connections, limits.messages_per_connection) == (1, 50)
    placed = found.place("any.example", ["mx8.example", "mx9.example"])
    assert placed.destination == "mx9.example"
    assert found.limits(placed.destination).connections == 3


def test_the_workspace_names_providers(campaign: Path) -> None:
    """Its file adds providers and changes what is known of others, key by key."""
    found = table(
        campaign,
        own='[google]\nconnections = 2\n[ours]\nmx = ["mx.ours.example", ".eu.google.com"]\n'
        'domains = ["ours.example", "bücher.*", "orange.fr"]\nrate = "10/min"\n',
    )
    assert found.place("ours.example", ["elsewhere.example"]).destination == "ours"
    assert found.place("xn--bcher-kva.de").destination == "ours"
    assert found.place("orange.fr", ["smtp-in.orange.fr"]).destination == "ours"
    assert found.place("any.example", ["mx.ours.example"]).destination == "ours"
    assert found.place("any.example", ["smtp.eu.google.com"]).destination == "ours"
    assert found.place("any.example", ["x.mx.ours.example"]).provider == ""
    assert found.place("gmail.com").destination == "google"
    assert found.limits("google") == Limits(2, Rate(), 50, None, "required")
    assert found.limits("ours") == Limits(2, Rate(6.0), 100)


def test_why_is_said() -> None:
    """The sentence names what decided, with file and line."""
    line = (ROOT / "mailblast/destinations.toml").read_text().splitlines().index("[google]")

    assert BUILT_IN.place("example.org", ["aspmx.l.google.com"]).why == (
        "its mail host aspmx.l.google.com ends with .google.com, which is in mx of [google] "
        f"(built-in destinations.toml:{line + 2})"
    )
    assert BUILT_IN.place("yahoo.de").why.startswith("yahoo.* is in domains of [yahoo] (")
    assert BUILT_IN.place("example.org").why == "no provider and no mail host is known"


# --- Which limits -------------------------------------------------------------------------


def test_which_word_is_the_strongest(campaign: Path) -> None:
    """What names the destination beats what is said of all; the campaign the workspace's
    file, and that the built-in one."""
    own = '[default]\nconnections = 4\nrate = "1/s"\n[yahoo]\nconnections = 7\n'
    found = table(
        campaign,
        '[throttle]\nmessages_per_connection = 60\nrate = "2/s"\n'
        "[throttle.destinations.yahoo]\nmessages_per_connection = 30\n",
        own,
    )

    def places(destination: str) -> dict[str, str]:
        return {one.key: one.where for one in found.rulings(destination)}

    assert found.limits("yahoo") == Limits(7, Rate(0.5), 30)
    assert places("yahoo") == {
        "connections": "destinations.toml:5",
        "rate": "campaign.toml:9",
        "messages_per_connection": "campaign.toml:11",
        "warmup": "the default",
        "tls": places("yahoo")["tls"],
    }
    assert places("yahoo")["tls"].startswith("built-in destinations.toml:")
    assert found.limits("example.org") == Limits(4, Rate(0.5), 60)


def test_everyone_may_be_gentler_and_not_less_so(campaign: Path) -> None:
    """[throttle] holds for the known ones where it is stricter than what is known of them."""
    strict = table(
        campaign,
        '[throttle]\nconnections = 1\nrate = ["1/s", "9/day"]\nmessages_per_connection = 10\n',
    )
    assert strict.limits("google") == Limits(1, Rate(1.0, 9), 10, None, "required")
    assert strict.limits("yahoo-japan") == Limits(1, Rate(1.0, 9), 10)
    loose = table(
        campaign,
        '[throttle]\nconnections = 50\nrate = "99/s"\nmessages_per_connection = 1000\n',
    )
    assert loose.limits("google").connections == 5
    assert loose.limits("yahoo-japan") == Limits(2, Rate(0.1), 20)
    assert loose.limits("example.org").connections == 50
    named = table(campaign, "[throttle.destinations.google]\nconnections = 50\n")
    assert named.limits("google").connections == 50


def test_through_a_relay_only_what_the_user_set_counts(campaign: Path) -> None:
    """The table groups by name and its figures do not hold; those of the user do."""
    found = table(
        campaign,
        '[throttle.destinations.google]\nrate = "1/s"\n',
        "[outlook]\nconnections = 3\n",
        direct=False,
    )

    assert found.place("googlemail.com").destination == "google"
    assert found.place("shop.example", ["aspmx.l.google.com"]).destination == "shop.example"
    assert found.limits("google") == Limits(rate=Rate(1.0))
    assert found.limits("outlook") == Limits(connections=3)
    assert found.limits("yahoo") == Limits()


def test_limits_by_the_name_of_a_destination() -> None:
    """A tenant's host has the limits of its provider, a domain those of what is known."""
    assert BUILT_IN.limits("example-org.mail.protection.outlook.com").connections == 5
    assert BUILT_IN.limits("gmail.com") == BUILT_IN.limits("google")
    assert BUILT_IN.limits("mx1.mail.example") == Limits(connections=2)


# --- The files ----------------------------------------------------------------------------


def test_the_built_in_table_is_sound() -> None:
    """Each entry stands once, and each table of the file has arrived."""
    text = (ROOT / "mailblast/destinations.toml").read_text("utf-8")
    raw = tomllib.loads(text)

    assert set(built_in()) == set(raw)
    for key in ("mx", "domains"):
        entries = [one for each in raw.values() for one in each.get(key, ())]
        assert len(entries) == len(set(entries))
    assert all(name == "default" or raw[name].get("mx") for name in raw)


def test_every_figure_has_its_source() -> None:
    """Above each table with a figure stands a comment that says where it comes from."""
    text = (ROOT / "mailblast/destinations.toml").read_text("utf-8")
    for paragraph in text.split("\n\n"):
        if "connections = " in paragraph or "messages_per_connection = " in paragraph:
            assert re.search("KumoMTA|[Oo]urs|Sisimai", paragraph), paragraph


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("x", "destinations.toml:1: not TOML"),
        ("connections = 5", "destinations.toml:1: [connections] must be a table"),
        (
            "[google]\nconections = 5",
            'unknown key "conections"; did you mean "connections"?',
        ),
        (
            "\n[google]\nconnections = 0",
            "destinations.toml:3: [google] connections must be",
        ),
        ('[google]\nmx = "google.com"', "mx must be a list of mail hosts"),
        ("[google]\nmx = []", "mx must be a list of mail hosts"),
        ('[google]\nmx = ["a b"]', "mx entry 1 must be a domain"),
        ('[google]\nmx = ["x.*"]', "mx entry 1 must be a domain"),
        ('[google]\ndomains = ["a.example", ".b.example"]', "domains entry 2 must be"),
        ("[google]\nper_host = 1", "per_host must be true or false"),
        ('[google]\ntls = "none"', 'tls must be "required" or "opportunistic"'),
        ('["a.example"]\nconnections = 1', "must be the name of a provider"),
        ("[other]\nconnections = 1", "[other] has neither mx nor domains; known providers"),
        ('[default]\nmx = [".example"]', "[default] is for everyone else and has no mx"),
        (
            '[one]\ndomains = ["a.example"]\n[two]\ndomains = ["A.example"]',
            "destinations.toml:4: a.example stands in [one] and in [two]",
        ),
    ],
)
def test_mistakes_are_told_with_their_line(campaign: Path, own: str, said: str) -> None:
    """A mistake in the workspace's file is a problem of the campaign, with its line."""
    (campaign.parent / "destinations.toml").write_text(own)

    assert said in "\n".join(problems(campaign))
    with pytest.raises(Problems) as caught:
        load_limits(campaign.parent)
    assert said in str(caught.value)


def test_a_workspace_without_a_campaign(campaign: Path) -> None:
    """The defaults of the workspace apply, without any campaign."""
    (campaign.parent / "mailblast.toml").write_text(
        "[throttle]\nwarmup = { start = 9, growth = 2, day-one = 2026-11-24 }\n"
    )
    throttles, profiles = load_limits(campaign.parent)
    found = Destinations(profiles, throttles, direct=True)

    assert found.limits("google").warmup == Warmup(9, 2.0, date(2026, 11, 24))


def test_a_rehearsal_is_not_paced(campaign: Path) -> None:
    """Rates and warm-ups are for real mail; connections hold in practice too."""
    (campaign.parent / "destinations.toml").write_text('[default]\nrate = "1/h"\n')
    found = read(
        campaign,
        '[throttle]\nrate = "1/h"\nconnections = 3\n[throttle.destinations.google]\n'
        "warmup = { start = 9, growth = 2, day-one = 2026-11-24 }\n",
    )
    unpaced = Destinations(
        found.providers.unpaced(), found.throttle.unpaced(), direct=False
    )

    assert unpaced.limits("google") == Limits(connections=3)


def test_docs_have_every_key() -> None:
    """docs/destinations.md has the keys of the table, each as the program knows it."""
    page = (ROOT / "docs/destinations.md").read_text("utf-8")
    for key in KEYS:
        assert f"| `{key.name}` | {key.form.words} | " in page


def test_plain_campaign_is_unchanged(campaign: Path) -> None:
    """Without a word on limits a relay's destinations have ten connections and no rate."""
    found = read(campaign, instead=PLAIN)

    assert Destinations.of(found).limits("example.org") == Limits()


# --- What was learnt ----------------------------------------------------------------------

LEARNT = Learnt(
    name="google",
    provider="google",
    window=3,
    rate="20/min",
    rests=2,
    rest=1200.0,
    rests_until=1_795_483_800.0,
    last_refusal="421 4.7.28 unusual rate",
    at=1_795_480_200.0,
)


def test_what_was_learnt_comes_back() -> None:
    """A document says the same as what it was made from, with times that people can read."""
    document = LEARNT.to_document()

    assert document["rests_until"] == "2026-11-24T01:30:00+00:00"
    assert Learnt.from_document(document) == LEARNT
    assert Learnt.from_document({"name": "x"}) == Learnt("x")


@pytest.mark.parametrize(
    "change",
    [
        {"window": "3"},
        {"window": -1},
        {"window": True},
        {"rest": float("nan")},
        {"rest": float("inf")},
        {"rest": [1]},
        {"rests_until": 17},
        {"rests_until": "tomorrow"},
        {"at": "99999-01-01"},
        {"last_refusal": None},
        {"name": 5},
        {"more": 1},
    ],
)
def test_what_was_edited_badly_is_as_if_not_there(change: dict[str, object]) -> None:
    """The run book is a file to be edited: nonsense is left out, and the rest is taken."""
    (key,) = change
    plain = Learnt.from_document({**LEARNT.to_document(), key: None})

    assert Learnt.from_document({**LEARNT.to_document(), **change}) == plain


def test_a_long_reply_is_cut() -> None:
    """What a server said is kept within bounds."""
    assert len(Learnt("x", last_refusal="y" * 9999).to_document()["last_refusal"]) == 500
