"""Imports go down, never up.  This table is the architecture."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "mailblast"

# From the bottom of the house to its roof: a module imports only what stands above it here.
# fmt: off
LAYERS = [
    # words: the nouns everyone shares
    "errors", "quantity", "address", "smtp.reply", "phrase", "reason", "event", "lookup",
    # rules: they decide; no socket, no SQL, no clock, no chance, no screen
    "campaign.forms", "campaign.ip", "campaign.declared", "campaign.limits", "campaign.keys",
    "campaign.suppression", "campaign.source", "campaign.imap", "campaign.settings",
    "campaign.providers", "campaign.files", "campaign.checks", "campaign",
    "campaign.manifest", "campaign.example",
    "header", "recipients", "due",
    "hygiene.role", "hygiene.disposable", "hygiene.typo", "hygiene.generated",
    "suppression", "headcount", "tag",
    "template.environment", "template.shield", "template.markup", "template.styles",
    "template.footer", "template.images", "template.markdown", "template.plaintext",
    "template",
    "signing",
    "compose.header", "compose.body", "compose.attachment",
    "compose.fields", "compose.sources", "compose.structure", "compose",
    "disposition", "suppression.policy", "provider", "throttle", "pulse", "schedule",
    "breaker", "learnt", "forecast",
    "smtp.command", "smtp.protocol",
    "bounce.notice", "bounce.charset", "bounce.parts", "bounce.message",
    "bounce.diagnostic", "bounce.passage", "bounce.verdict", "bounce.forms",
    "bounce.naming", "bounce.plaintext", "bounce.dsn", "bounce.feedback",
    "bounce.aggregate", "bounce.ses", "bounce.autoreply", "bounce",
    "tie", "judging",
    "mx", "mtasts", "certificate.dane", "certificate.mark",
    "spf.record", "spf", "dmarc", "keyrecord", "reverse", "blocklist",
    "check.finding", "check.book", "check.facts", "check.attestation", "check.survey",
    "check.census", "check.phrases", "check.visible", "check.pack", "check.scope",
    "check.volume",
    "check.sender", "check.subject", "check.wayout", "check.consent", "check.hygiene",
    "check.identity", "check.deadlines", "check.rendering", "check.published", "check.answers",
    "check.traffic", "check.envelope", "check.signature", "check.ownership", "check.feedback",
    "check.retry", "check.alignment", "check.hosts",
    "check.standing", "check.transport", "check.svg", "check.logo",
    "check.page", "check.landing", "check.endpoint",
    "check.each", "check.header", "check.listheader", "check.mime",
    "check.links", "check.body", "check.spam",
    "check", "check.policies", "zone",
    # edges: files, the network and the database
    "secret", "newfile", "content", "mailbox.mail", "mailbox.mbox", "mailbox", "spamfilter",
    "resolver", "exchanger",
    "smtp.session.opening", "smtp.session.wire", "smtp.session", "destination",
    "ledger.tables", "ledger.database", "ledger.statement",
    "ledger.seen", "ledger.suppressions", "ledger.recording",
    "ledger.deliveries", "ledger.runs", "ledger.enrolment", "ledger.history",
    "ledger.imports", "ledger.pauses", "ledger.optouts", "ledger.traffic", "ledger.policies",
    "ledger.commit", "ledger", "runbook",
    "imap.address", "imap.wire", "imap",
    "https", "mtasts.fetch", "mtasts.cache", "direct",
    # the practice Internet: a neighbour of the edges
    "sandbox.characters", "sandbox.notices", "sandbox.postmaster", "sandbox.server", "sandbox",
    # jobs: what a command does
    "keys", "pool.workbench", "pool.worker", "pool", "report",
    "surge", "comeback", "warned",
    "preflight.packs", "preflight.listed", "preflight.hygiene", "preflight.mailable",
    "preflight.gather", "preflight.published",
    "preflight.reach", "preflight.endpoint", "preflight.behind", "preflight.web",
    "preflight.traffic", "preflight", "clean", "attest",
    "send.ready", "send.enrol", "send.request", "send.tally",
    "send.book", "send.lines", "send.routing", "send.standing",
    "send.feeder", "send.dispatch", "send.prepare", "send.outage", "send.carrier", "send.prove",
    "send", "send.due", "reading", "reconcile", "intake", "preview", "dossier",
    "timeline", "optout",
    # faces: how it is asked for and shown
    "terminal.words", "terminal.destinations", "terminal.progress", "terminal.notices",
    "terminal.history", "terminal", "terminal.findings", "terminal.zone",
    "terminal.dossier", "terminal.timeline",
    "cli.late", "cli.base", "cli.making", "cli.check", "cli.zone", "cli.planning", "cli.sending",
    "cli.past", "cli.account", "cli.source",
    "cli.importing", "cli.notices", "cli.history", "cli.bounces", "cli.explain", "cli.destinations",
    "cli.lists",
    "cli.optout", "cli", "__main__",
]
# fmt: on

RULES = LAYERS[: LAYERS.index("secret")]  # words and rules
SENSES = {"asyncio", "logging", "random", "secrets", "socket", "subprocess", "time"}

# Libraries with one door: only this module, or those below its name, may import them.
DOORS = {
    "aiosmtpd": "sandbox.server",
    "aiosmtplib": "smtp.session.opening",
    "click": "cli",
    "cryptography": "signing",
    "cryptography.x509": "certificate",
    "css_inline": "template.styles",
    "disposable_email_domains": "hygiene.disposable",
    "dkim": "signing",
    "dns": "resolver",
    "email_validator": "address",
    "imaplib": "imap",
    "inscriptis": "template.plaintext",
    "jinja2": "template",
    "markdown_it": "template.markdown",
    "rich": "terminal",
    "sqlalchemy": "ledger",
    "sqlite3": "ledger",
    "ssl": "smtp.session.opening",
    "tinydb": "runbook",
    "tinyhtml5": "check.page",
    "uvloop": "send",
}


def named(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = [(named(path), path) for path in sorted(ROOT.rglob("*.py"))]
# The package itself re-exports; a package of nothing but a docstring has no place to hold.
PLACED = [(name, path) for name, path in MODULES if name in LAYERS]


def imports(path: Path) -> Iterator[str]:
    """Every name an import statement brings in, spelled from the root."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are spelled from the root"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(target: str) -> str:
    """The module of ours that *target* is, or is a name in."""
    name = target.removeprefix("mailblast.")
    while name and name not in LAYERS:
        name = name.rpartition(".")[0]
    return name


def test_every_module_has_its_layer():
    """A new file is entered in LAYERS, and a file that is gone is taken out."""
    with_code = {
        name for name, path in MODULES if len(ast.parse(path.read_text()).body) > 1
    }

    assert with_code - {"__init__"} - set(LAYERS) == set()
    assert set(LAYERS) - {name for name, _ in MODULES} == set()


@pytest.mark.parametrize(("name", "path"), PLACED, ids=[name for name, _ in PLACED])
def test_imports_go_down(name, path):
    """A module imports only what stands above it in LAYERS."""
    allowed = {*LAYERS[: LAYERS.index(name)], ""}

    for target in imports(path):
        if target.startswith("mailblast."):
            assert layer(target) in allowed, target


@pytest.mark.parametrize(("name", "path"), PLACED, ids=[name for name, _ in PLACED])
def test_one_door_per_library(name, path):
    """Each library in DOORS is imported behind its one door."""
    for target in imports(path):
        door = door_to(target) or name
        assert name == door or name.startswith(f"{door}."), target


def door_to(target: str) -> str:
    """The door of the library that *target* is of; a part of one may have its own."""
    while target and target not in DOORS:
        target = target.rpartition(".")[0]
    return DOORS.get(target, "")


@pytest.mark.parametrize(("name", "path"), PLACED, ids=[name for name, _ in PLACED])
def test_rules_have_no_senses(name, path):
    """Words and rules are told the time and the network's answer; they never ask."""
    if name in RULES:
        assert SENSES.isdisjoint(target.split(".")[0] for target in imports(path))


@pytest.mark.parametrize("path", [path for _, path in PLACED], ids=[n for n, _ in PLACED])
def test_files_are_short(path):
    """A file that nobody reads at one sitting is two files."""
    assert len(path.read_text().splitlines()) <= 400


def test_the_libraries_of_the_standard_are_known():
    """What is imported is ours, a library with a door, or Python's own."""
    known = {*sys.stdlib_module_names, *DOORS, "mailblast", "markupsafe"}

    assert {t.split(".")[0] for _, path in MODULES for t in imports(path)} <= known


@pytest.mark.parametrize(
    ("start", "spared"),
    [
        ("cli", {"ledger", "check", "bounce"}),
        ("cli.account", {"compose", "preflight", "send"}),
        ("cli.importing", {"compose", "preflight", "send"}),
        ("cli.optout", {"compose", "preflight", "send"}),
    ],
)
def test_a_command_loads_what_it_needs(start, spared):
    """Half of the program is not loaded to look at a report or to take in a bounce."""
    code = f"import sys, mailblast.{start}; print(*sys.modules)"
    words = [sys.executable, "-c", code]
    loaded = subprocess.run(
        words, capture_output=True, check=True, text=True
    ).stdout.split()
    assert f"mailblast.{start}" in loaded
    assert {f"mailblast.{name}" for name in spared}.isdisjoint(loaded)
