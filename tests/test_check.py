"""`mailblast check`: the rules as data, the engine, the packs, and the command itself."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from checking import campaign, facts, status
from commands import PROGRAM, SETTINGS, letter, ok, relay, the_run

from mailblast.check import book, judge
from mailblast.check.book import NOTHING_TO_DO, Where
from mailblast.check.finding import passed, skipped, warned
from mailblast.check.pack import read_pack
from mailblast.check.policies import CHECKS
from mailblast.preflight.packs import found, known

ROOT = Path(__file__).parents[1]
RULES = ROOT.parent / "shared" / "RULES.md"
OURS = (
    "can-spam",
    "bulk-senders",
    "standards",
    "casl",
    "gdpr-eprivacy",
    "uk-pecr",
    "spam-act-au",
)
PEOPLE = "ann@inbox.example,Ann\n"
REAL = relay(9, 1)  # nobody listens there; what is refused never gets so far


# --- The rules as data --------------------------------------------------------------------


def test_every_rule_is_in_the_book():
    """159 rules, those of the standard work that this one was written from, and some of ours."""
    ours = {"DNS-BLOCKLIST", "DNS-MTASTS"}
    rules = book.rules().values()
    theirs = [one for one in rules if one.chapter != "Content" and one.id not in ours]
    assert len(theirs) == 159
    if RULES.exists():
        wanted = re.findall(
            r"^#### ([A-Z0-9-]+) +\| (\w+) ",
            RULES.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        assert wanted[1:] == [(one.id, one.level) for one in theirs]


@pytest.mark.parametrize("rule", book.rules().values(), ids=lambda rule: rule.id)
def test_a_rule_is_whole(rule):
    """It asks something and says who asks; what can fail has a text, and something to do."""
    assert rule.asks
    assert rule.source
    assert bool(rule.tests) == (rule.where is not Where.NOWHERE)
    if rule.where is Where.CHECK:
        assert rule.message
        assert rule.fix
        assert rule.fix != NOTHING_TO_DO
    for hole in re.findall(r"\{+([^{}]*)\}", rule.message):
        assert hole.isidentifier(), hole


def test_what_check_enforces_has_a_function():
    """A rule has a function exactly when its data say that `check` enforces it."""
    said = {rule.id for rule in book.rules().values() if rule.where is Where.CHECK}

    assert said == CHECKS.keys()


def test_the_tests_that_prove_rules_are_there():
    """Each rule that is enforced names tests that exist."""
    for rule in book.rules().values():
        for test in rule.tests:
            file, _, name = test.partition("::")
            assert re.search(
                rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE
            ), (rule.id, test)


def test_every_rule_is_in_a_pack_of_ours():
    """And each pack says of when its sources are."""
    packs = found(OURS)

    assert {term.rule.id for pack in packs for term in pack.terms} == book.rules().keys()
    assert all(pack.sources and all(one.date for one in pack.sources) for pack in packs)
    assert set(OURS) <= set(known())


def test_sources_are_cited_by_their_names():
    """What a rule cites by a short name in capitals is among the sources."""
    for name in ("G81126", "YREQ", "MPOL", "APPLE"):
        assert name in book.sources()
        assert any(name in rule.source for rule in book.rules().values())


# --- The engine ---------------------------------------------------------------------------

PACK = """\
title = "Ours"
jurisdiction = "here"
sources = [{ title = "The manual", date = "2026-10" }]
[rules]
"""


def judged(rules, checks, told=None, own=()):
    return judge(told or facts(), [read_pack("ours", PACK + rules, checks, own)])


def test_what_was_not_gathered_is_skipped():
    """A rule that looks at a group that is not there ends as `skip`, with the reason."""
    assert status("CANSPAM-ADDRESS", facts(None, object())) == "skip"


# What these look at are settings, which are always there.
OF_SETTINGS = {
    *("CANSPAM-SCOPE", "CANSPAM-FROM-IDENT", "CANSPAM-RELAY-DISGUISE", "CANSPAM-HARVEST"),
    *("CANSPAM-ADDRESS-FORM", "SMTP-RETRY", "HDR-CSA", "HDR-VBR", "CANSPAM-OPTOUT-30DAYS"),
}


@pytest.mark.parametrize("rule", CHECKS)
def test_a_rule_that_was_told_nothing_is_skipped(rule):
    """No rule passes, or fails, for what nobody has gathered."""
    nothing = facts(None, object())
    found = {str(one.status) for one in judged(f"{rule} = {{}}", CHECKS, nothing)}

    assert (found == {"skip"}) == (rule not in OF_SETTINGS)


def test_a_function_may_find_several_things():
    """Each is a finding; what it found before a group was missing stays."""

    def check(told):
        yield warned("one", sender="x", part="y")
        told.of(int)

    both = judged("CANSPAM-ADDRESS = {}", {"CANSPAM-ADDRESS": check})

    assert [(one.status, one.evidence) for one in both] == [
        ("warn", "one"),
        ("skip", "mailblast does not look at this yet"),
    ]


def test_what_a_pack_says():
    """Its level goes before the rule's own; everything else is told to the function."""

    def check(_, *, days):
        return warned(f"{days} days", n=3, date="then")

    (only,) = judged(
        'CANSPAM-OPTOUT-10BD = { level = "info", days = 5 }', {"CANSPAM-OPTOUT-10BD": check}
    )

    assert (only.level, only.evidence, only.pack) == ("info", "5 days", "ours")
    assert only.message.startswith("Mailed after they had asked for no more: 3")


def test_nothing_passes_that_nobody_looks_at():
    """Without a function there is a `skip`, unless the rule is enforced elsewhere."""
    nobody = replace(book.rules()["WEB-TLS"], id="OURS-LOGO", where=Where.NOWHERE)
    assert [one.status for one in judged("OURS-LOGO = {}", {}, own=[nobody])] == ["skip"]
    assert judged("SUPPRESS-AT-SEND = {}", {}) == []


def test_two_packs_that_ask_the_same_ask_once():
    """The same rule at the same level with the same result is one finding."""
    pack = read_pack(
        "ours", PACK + "CANSPAM-SCOPE = {}", {"CANSPAM-SCOPE": lambda _: passed("it is")}
    )
    other = read_pack(
        "theirs",
        PACK + "CANSPAM-SCOPE = {}",
        {"CANSPAM-SCOPE": lambda _: skipped("not here")},
    )

    assert len(judge(facts(), [pack, pack])) == 1
    assert len(judge(facts(), [pack, other])) == 2


def test_a_value_cannot_reach_into_the_message():
    """What a mail or a list says is put in as it stands."""
    hostile = "{legal_name.__class__} {0}"
    mailbox = campaign().sender.mailbox
    sender = {"mailbox": type(mailbox)(hostile, mailbox.address), "organisation": "Shop"}
    (only,) = judge(facts(campaign(sender=sender)), [
        read_pack("ours", PACK + "CANSPAM-FROM-IDENT = {}", CHECKS)
    ])  # fmt: skip

    assert hostile in only.message


# --- A company's own pack -----------------------------------------------------------------

THEIRS = '''\
"""A company's own policy."""
from mailblast.check.book import read
from mailblast.check.finding import failed, passed
from mailblast.check.pack import read_pack

RULES = """
title = "Acme"
[ACME-FROM]
level = "error"
asks = "Mail comes from Acme."
source = "Acme manual, 3"
message = "From is {name}, and not Acme."
fix = "Send as Acme."
"""
PACK = """
title = "Acme mail manual"
jurisdiction = "Acme"
sources = [{ title = "Acme manual", date = "2026-10-01" }]
[rules]
ACME-FROM = { name = "Acme" }
"""


def acme(facts, *, name):
    found = facts.campaign.sender.mailbox.name
    return passed(found) if name in found else failed("[sender] from", name=found)


def pack():
    return read_pack("acme", PACK, {"ACME-FROM": acme}, read(RULES))
'''


@pytest.fixture
def acme(tmp_path: Path) -> dict[str, str]:
    """The company's package, installed: a module and its metadata on the path."""
    site = tmp_path / "site"
    info = site / "acme_policy-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "acme_policy.py").write_text(THEIRS)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-policy\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(
        "[mailblast.policies]\nacme = acme_policy:pack\nbroken = acme_policy:nothing\n"
    )
    return {"PYTHONPATH": f"{site}:{ROOT}"}


def test_a_company_adds_its_own_pack(tmp_path: Path, acme: dict[str, str]) -> None:
    """It is found by its entry point, named in [check], explained, and stands beside ours."""
    packs = '[check]\npacks = ["can-spam", "acme"]\n'
    letter(tmp_path, PEOPLE, campaign_toml=SETTINGS.replace("[check]\n", packs) + REAL)
    ended = ok(tmp_path, "check", "letter", env=acme, program=PROGRAM, status=4)

    assert "FAIL ACME-FROM" in ended.out
    assert "From is Example Shop, and not Acme." in ended.out
    assert "do: Send as Acme." in ended.out
    assert "acme: Acme mail manual (Acme); sources: 2026-10-01" in ended.out
    assert "CANSPAM-ADDRESS-FORM" in ended.out
    explained = ok(tmp_path, "check", "--explain", "acme-from", env=acme, program=PROGRAM)
    assert "Acme manual, 3" in explained.out


@pytest.mark.parametrize(
    ("name", "said"),
    [("nobodys", 'no policy pack "nobodys"'), ("broken", "acme_policy:nothing")],
)
def test_a_pack_that_cannot_be_had(
    tmp_path: Path, acme: dict[str, str], name: str, said: str
) -> None:
    """The user is told which, and which there are."""
    letter(tmp_path, PEOPLE)
    ended = ok(
        tmp_path, "check", "letter", "--pack", name, env=acme, program=PROGRAM, status=1
    )

    assert said in ended.err


# --- The command --------------------------------------------------------------------------


def test_ready(tmp_path: Path) -> None:
    """Status 0, nothing fails, and it says how to send; the look leaves nothing behind."""
    letter(tmp_path, PEOPLE, delivery=REAL)
    done = ok(tmp_path, "check", "letter")

    assert "attested CANSPAM-ADDRESS-FORM" in done.out
    assert "  FAIL" not in done.out
    assert done.out.rstrip().endswith("Ready: mailblast send letter")
    assert not (tmp_path / ".mailblast").exists()


def test_not_ready(tmp_path: Path) -> None:
    """Status 4; what fails stands first, each with what to do."""
    toml = re.sub(r"(\[attest\]\n.*\n|source = .*\n)", "", SETTINGS) + REAL
    letter(tmp_path, PEOPLE, campaign_toml=toml)
    done = ok(tmp_path, "check", "letter", status=4)

    lines = done.out.splitlines()
    assert lines[0] == "CAN-SPAM"
    firsts = [line.split()[0] for line in lines if re.match(r"  [A-Za-z]+ CANSPAM", line)]
    assert firsts == sorted(firsts, key=["FAIL", "WARN", "attested", "pass"].index)
    assert firsts.count("FAIL") == 2
    assert (
        'run: mailblast check letter --attest CANSPAM-ADDRESS-FORM --by "Your Name"'
        in done.out
    )
    assert "2 rules of level error fail: CANSPAM-ADDRESS-FORM, CANSPAM-HARVEST" in done.out


def test_as_json(tmp_path: Path) -> None:
    """One object: whether it is ready, the packs with their sources, every finding whole."""
    letter(tmp_path, PEOPLE, delivery=REAL)
    document = ok(tmp_path, "check", "letter", "--json").json

    assert document["ready"] is True
    assert [one["name"] for one in document["packs"]] == [*OURS[:3]]
    assert all(one["sources"] for one in document["packs"])
    finding = next(one for one in document["findings"] if one["id"] == "CANSPAM-ADDRESS")
    assert finding == {
        "id": "CANSPAM-ADDRESS",
        "level": "error",
        "status": "pass",
        "evidence": "in each part of 1 message",
        "cite": "15 U.S.C. 7704(a)(5)(A)(iii) [S]",
        "message": "",
        "fix": "",
        "chapter": "CAN-SPAM",
        "pack": "can-spam",
        "digest": "",
    }


def test_another_pack(tmp_path: Path) -> None:
    """--pack instead of those in the settings; each once."""
    letter(tmp_path, PEOPLE, delivery=REAL)
    words = ("check", "letter", "--pack", "casl", "--pack", "casl", "--json")
    done = ok(tmp_path, *words, status=4)

    assert [one["name"] for one in done.json["packs"]] == ["casl"]
    assert {one["pack"] for one in done.json["findings"]} == {"casl"}


@pytest.mark.parametrize(
    "rule", ["CANSPAM-ADDRESS", "SMTP-MX", "WEB-TLS", "CANSPAM-PENALTY"]
)
def test_every_rule_is_explained(tmp_path: Path, rule: str) -> None:
    """Its source, where it is enforced and by which test, or that it is not yet."""
    said = ok(tmp_path, "check", "--explain", rule.lower()).out
    one = book.rules()[rule]

    assert said.startswith(rule)
    assert one.source in " ".join(said.split())
    for test in one.tests or ("not yet enforced",):
        assert test in said
    assert ("Lacking: " in said) == bool(one.lacks)
    found = ok(tmp_path, "check", "--explain", rule, "--json").json
    assert (found["source"], found["tests"]) == (one.source, list(one.tests))


def test_a_rule_that_is_none(tmp_path: Path) -> None:
    """Those that are called alike are offered."""
    done = ok(tmp_path, "check", "--explain", "NULLMX", status=1)

    assert "DNS-NULLMX" in done.err


@pytest.mark.parametrize("columns", ["40", "200"])
def test_on_any_terminal(tmp_path: Path, columns: str) -> None:
    """In a pipe there is no colour, and no line of prose is wider than a narrow screen."""
    letter(tmp_path, PEOPLE)
    done = ok(tmp_path, "check", "letter", "--pack", "can-spam", env={"COLUMNS": columns})

    assert "\x1b" not in done.out
    prose = [line for line in done.out.splitlines() if line.startswith("    ")]
    assert all(len(line) <= int(columns) for line in prose if "run: " not in line)


def test_usage(tmp_path: Path) -> None:
    """A campaign, or a rule; who attests says who they are."""
    ok(tmp_path, "check", status=1)
    letter(tmp_path, PEOPLE)
    ok(tmp_path, "check", "letter", "--attest", "CANSPAM-ADDRESS-FORM", status=1)


# --- Attesting ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "kept"),
    [
        ("", []),
        ("[attest] # ours\n", []),
        (
            '[attest]\nCANSPAM-ADDRESS-FORM = { by = "X", on = 2020-01-01, digest = "%s" }\n',
            [],
        ),
        (
            '[attest]\nCANSPAM-SCOPE = { by = "Y", on = 2020-01-01, digest = "%s" }\n# end\n',
            ["CANSPAM-SCOPE"],
        ),
    ],
)
@pytest.mark.parametrize("after", ["", "[breaker]\nminimum = 300\n"])
def test_attest(tmp_path: Path, table: str, kept: list[str], after: str) -> None:
    """The line is written, in place of an old one; everything else stays; then it holds."""
    table = table.replace("%s", "0" * 16)
    toml = re.sub(r"\[attest\]\n.*\n", "", SETTINGS) + REAL + table + after
    home = letter(tmp_path, PEOPLE, campaign_toml=toml)
    words = ("check", "letter", "--attest", "canspam-address-form", "--by", 'Ada "A" L')
    said = ok(tmp_path, *words).out

    new = (home / "campaign.toml").read_text()
    written = next(line for line in new.splitlines() if "CANSPAM-ADDRESS-FORM" in line)
    assert 'by = "Ada \\"A\\" L"' in written
    assert written in said
    for line in toml.splitlines():
        assert line in new.splitlines() or line.startswith("CANSPAM-ADDRESS-FORM")
    assert (
        re.findall(r"^(CANSPAM-\S+) =", new, re.MULTILINE).count("CANSPAM-ADDRESS-FORM")
        == 1
    )
    assert set(kept) < set(re.findall(r"^(CANSPAM-\S+) =", new, re.MULTILINE))
    ok(tmp_path, "check", "letter")


def test_what_is_not_for_a_person(tmp_path: Path) -> None:
    """What a program decides nobody attests."""
    home = letter(tmp_path, PEOPLE, delivery=REAL)
    before = (home / "campaign.toml").read_text()
    words = ("check", "letter", "--attest", "CANSPAM-ADDRESS", "--by", "Ada")

    assert "is not for a person to attest" in ok(tmp_path, *words, status=1).err
    assert (home / "campaign.toml").read_text() == before


# --- Sending ------------------------------------------------------------------------------

UNATTESTED = re.sub(r"\[attest\]\n.*\n", "", SETTINGS)


def test_nothing_leaves_that_is_not_ready(tmp_path: Path) -> None:
    """Status 4, with the rule, and what to do; no run was begun."""
    letter(tmp_path, PEOPLE, campaign_toml=UNATTESTED + REAL)
    done = ok(tmp_path, "send", "letter", "--yes", status=4)

    assert "CANSPAM-ADDRESS-FORM" in done.err
    assert "mailblast check letter" in done.err
    assert "nothing was sent" in ok(tmp_path, "report", status=1).err


def test_a_rule_is_overridden(tmp_path: Path) -> None:
    """One rule, with a reason that the run book keeps; a run that goes on keeps it too."""
    files = '[delivery]\nvia = "maildir"\nmaildir = "../out"\n'
    letter(tmp_path, PEOPLE + "bo@inbox.example,Bo\n", campaign_toml=UNATTESTED + files)
    words = (
        "send",
        "letter",
        "--yes",
        "--limit",
        "1",
        "--override",
        "canspam-address-form",
    )
    first = ok(tmp_path, *words, "--because", "the notary is away", status=3)

    assert "CANSPAM-ADDRESS-FORM is overridden: the notary is away" in first.out
    ok(tmp_path, "send", "letter", "--yes")
    book_ = json.loads((tmp_path / ".mailblast/runs.json").read_text())
    (run,) = book_["runs"].values()
    assert run["overrides"] == {"CANSPAM-ADDRESS-FORM": "the notary is away"}
    assert run["findings"]["CANSPAM-ADDRESS-FORM"] == "fail"


def test_an_override_is_of_one_rule(tmp_path: Path) -> None:
    """Another that fails still stops it; a reason must be given; the rule must exist."""
    toml = UNATTESTED.replace('source = "signup"', "") + REAL
    letter(tmp_path, PEOPLE, campaign_toml=toml)
    because = ("--because", "I say so")
    done = ok(
        tmp_path,
        "send",
        "letter",
        "--yes",
        "--override",
        "CANSPAM-HARVEST",
        *because,
        status=4,
    )
    assert "CANSPAM-ADDRESS-FORM" in done.err
    assert "CANSPAM-HARVEST:" not in done.err
    ok(tmp_path, "send", "letter", "--yes", "--override", "CANSPAM-HARVEST", status=1)
    ok(
        tmp_path,
        "send",
        "letter",
        "--yes",
        "--override",
        "NOBODYS-RULE",
        *because,
        status=1,
    )


@pytest.mark.parametrize("words", [(), ("--rehearse",)])
def test_practice_is_free(tmp_path: Path, words: tuple[str, ...]) -> None:
    """To the practice Internet everything may go; the plan says what real mail needs."""
    delivery = REAL if words else '[delivery]\nvia = "sandbox"\n'
    letter(tmp_path, PEOPLE, campaign_toml=UNATTESTED + delivery)
    done = ok(tmp_path, "send", "letter", "--yes", *words)

    assert "real mail would be refused for CANSPAM-ADDRESS-FORM" in done.out
    assert the_run(tmp_path, *(("--rehearsal",) if words else ()))["recipients"] == 1


def test_a_program_that_sends(tmp_path: Path) -> None:
    """From Python it is an exception, before anything is begun."""
    letter(tmp_path, PEOPLE, campaign_toml=UNATTESTED + REAL)
    code = (
        "import mailblast\nfrom pathlib import Path\n"
        "try:\n"
        "    with mailblast.prepared(mailblast.Request(Path('letter'))): print('sent')\n"
        "except mailblast.Refused as error: print(error.exit_status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "4\n"
