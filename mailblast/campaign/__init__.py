"""A campaign: what is to be sent, as whom, to whom, and how.

A campaign is a directory:

    campaign.toml          the settings; docs/campaign.md explains every key
    message.html           the message, as Jinja2 templates: HTML or Markdown, and a text
    message.md             part of its own if you want one
    message.txt
    recipients.csv         one row a recipient; the columns are the template's fields
    suppression.txt        who must not get it (or .csv); optional
    …                      images and attachments

A workspace is the nearest directory upward with mailblast.toml or .mailblast/.  Its
mailblast.toml holds the same tables as defaults for all campaigns (`settings`).

Rule: what `load` returns has been checked; nothing below asks again.
"""

from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Literal

from mailblast.address import Address, Mailbox, parse
from mailblast.campaign import declared, files, suppression
from mailblast.campaign.checks import consistency
from mailblast.campaign.declared import ATTEST, Attestation, Declared
from mailblast.campaign.forms import SecretSource
from mailblast.campaign.imap import Imap
from mailblast.campaign.keys import ED25519, HEADERS
from mailblast.campaign.limits import Limits, Rate, Thresholds, Warmup
from mailblast.campaign.providers import (
    Profile,
    Profiles,
    Throttles,
    read_profiles,
    strangers,
    throttles,
)
from mailblast.campaign.settings import (
    STATE,
    WORKSPACE_FILE,
    Setting,
    Settings,
    located,
    read_settings,
)
from mailblast.campaign.suppression import Policy, Tolerance
from mailblast.errors import Problem, Problems, Refusal, UserError

__all__ = [
    "Attestation",
    "Campaign",
    "Declared",
    "Delivery",
    "Dkim",
    "Imap",
    "Limits",
    "MessageSettings",
    "Policy",
    "Profile",
    "Profiles",
    "Rate",
    "RecipientsSettings",
    "SecretSource",
    "Sender",
    "Setting",
    "Thresholds",
    "Throttles",
    "Tolerance",
    "Unsubscribe",
    "Warmup",
    "find_workspace",
    "load",
    "load_imap",
    "load_limits",
    "load_policy",
]

_PORTS = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends.  `return_path` takes a tag: local+TAG@domain."""

    mailbox: Mailbox
    reply_to: Mailbox | None
    return_path: Address
    organisation: str
    postal_address: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MessageSettings:
    """What is sent.  `subject`, `attachments`, values of `headers` are Jinja2 sources."""

    subject: str
    purpose: Literal["commercial", "transactional"]
    list_id: str
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[str, ...]
    html: Path | None
    text: Path | None
    markdown: Path | None


@dataclass(frozen=True, slots=True)
class RecipientsSettings:
    """The list: the file, the column of the address, and the encoding or "auto"."""

    file: Path
    email: str
    encoding: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Where a recipient says stop; "" where there is no such way.

    `url` has no slash at its end; the token follows as one more segment of the path.
    `url_ends` is the day on which these links cease to work, None if they never do.
    """

    url: str
    mailto: str
    url_ends: date | None


@dataclass(frozen=True, slots=True)
class Dkim:
    """Who signs; `key` None is <workspace>/.mailblast/keys/<domain>.<selector>.pem; `second`
    is the Ed25519 key of a second signature (RFC 8463)."""

    domain: str
    selector: str
    key: Path | None
    algorithm: Literal["rsa-sha256", "ed25519-sha256"]
    second: "Dkim | None" = None

    @property
    def keys(self) -> tuple["Dkim", ...]:
        """Each key that signs."""
        return (self, self.second) if self.second else (self,)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How mail leaves.  `retry` and `give_up_after` are in seconds."""

    via: Literal["relay", "direct", "sandbox", "maildir"]
    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    username: str
    password: SecretSource | None
    ca_file: Path | None
    connections: int
    retry: tuple[float, ...]
    give_up_after: float
    maildir: Path | None
    ehlo: str
    source: tuple[str, ...]
    resolver: str
    trust_ad: bool
    allow_loopback: bool


@dataclass(frozen=True, slots=True)
class Campaign:
    """All of it; `name` is that of the directory."""

    name: str
    directory: Path
    sender: Sender
    message: MessageSettings
    recipients: RecipientsSettings
    suppression_file: Path | None
    unsubscribe: Unsubscribe
    dkim: Dkim | None
    delivery: Delivery
    throttle: Throttles
    providers: Profiles
    breaker: Thresholds
    declared: Declared
    suppression: Policy


def find_workspace(start: Path) -> Path:
    """The nearest directory upward with mailblast.toml or .mailblast/.

    Where there is none yet, the current directory becomes one if `start` lies in it, else
    `start` itself: either is found again from wherever the next command is run, and with it
    the ledger, without which everyone would be mailed a second time.
    """
    start = start.resolve()
    for directory in (start, *start.parents):
        if is_workspace(directory):
            return directory
    here = Path.cwd()
    return here if start.is_relative_to(here) else start


def is_workspace(directory: Path) -> bool:
    """Whether somebody sends from here, or is about to."""
    return (directory / WORKSPACE_FILE).is_file() or (directory / STATE).is_dir()


def load(directory: Path, workspace: Path, *, listed: bool = True) -> Campaign:
    """Read the campaign in `directory`; raises Problems with all that is wrong with it.

    `listed` says that the list of recipients must be there: a copy that was kept to print
    its messages again does without.
    """
    directory, workspace = directory.resolve(), workspace.resolve()
    if not directory.is_dir():
        hint = f"mailblast init {files.pasted(directory)} makes one"
        raise UserError(f"{directory}: no such directory", hint)
    settings, problems = read_settings(directory, workspace)
    profiles, wrong = read_profiles(workspace)
    problems += wrong
    if settings is None:
        raise Problems(problems)
    problems += consistency(settings)
    problems += () if wrong else strangers(settings, profiles)
    problems += files.missing(settings, directory)
    problems += files.missing_list(settings, directory) if listed else ()
    if problems:
        raise Problems(sorted(problems, key=_place))
    return _campaign(settings, profiles, directory)


def load_limits(workspace: Path) -> tuple[Throttles, Profiles]:
    """What a workspace says of limits, without a campaign; raises Problems."""
    settings, problems = read_settings(None, workspace.resolve())
    profiles, wrong = read_profiles(workspace)
    problems += wrong
    if settings is not None:
        problems += () if wrong else strangers(settings, profiles)
    if problems or settings is None:
        raise Problems(sorted(problems, key=_place))
    return throttles(settings), profiles


def load_imap(workspace: Path) -> Imap:
    """What a workspace says of its mailbox, without a campaign; raises Problems."""
    settings, problems = read_settings(None, workspace.resolve())
    if problems or settings is None:
        raise Problems(sorted(problems, key=_place))
    return Imap(
        _secret(settings, "imap", "password"),
        settings.path("imap", "ca_file"),
        settings.get("imap", "security"),
    )


def load_policy(workspace: Path) -> tuple[Policy, Thresholds]:
    """What a workspace says of suppressing and of pausing, without a campaign; raises
    Problems."""
    settings, problems = read_settings(None, workspace.resolve())
    if problems or settings is None:
        raise Problems(sorted(problems, key=_place))
    return _policy(settings), _thresholds(settings)


def _place(problem: Problem) -> tuple[str, int]:
    file, _, line = problem.where.partition(":")
    return file, int(line) if line.isdigit() else 0


def _campaign(settings: Settings, profiles: Profiles, directory: Path) -> Campaign:
    sender = _sender(settings)
    return Campaign(
        name=directory.name,
        directory=directory,
        sender=sender,
        message=_message(settings, directory),
        recipients=RecipientsSettings(
            files.recipients(settings, directory),
            settings.get("recipients", "email"),
            settings.get("recipients", "encoding"),
        ),
        suppression_file=files.suppression(directory),
        unsubscribe=_unsubscribe(settings),
        dkim=_dkim(settings, sender.mailbox.address.domain),
        delivery=_delivery(settings),
        throttle=throttles(settings),
        providers=profiles,
        breaker=_thresholds(settings),
        declared=_declared(settings),
        suppression=_policy(settings),
    )


def _sender(settings: Settings) -> Sender:
    mailbox: Mailbox = settings.get("sender", "from")
    return Sender(
        mailbox=mailbox,
        reply_to=settings.get("sender", "reply_to"),
        return_path=settings.get("sender", "return_path") or _bounces(mailbox),
        organisation=settings.get("sender", "organisation") or mailbox.name,
        postal_address=settings.get("sender", "postal_address") or (),
    )


def _bounces(mailbox: Mailbox) -> Address:
    address = parse(f"bounces@{mailbox.address.domain}")
    if isinstance(address, Refusal):
        raise UserError(
            f"[sender] from: no return path at {mailbox.address.domain}: {address}"
        )
    return address


def _message(settings: Settings, directory: Path) -> MessageSettings:
    headers = settings.below(*HEADERS.split("."))
    return MessageSettings(
        subject=settings.get("message", "subject"),
        purpose=settings.get("message", "purpose"),
        list_id=settings.get("message", "list_id") or "",
        headers=tuple(setting.value for _, setting in headers),
        attachments=settings.get("message", "attachments"),
        html=files.existing(directory / "message.html"),
        text=files.existing(directory / "message.txt"),
        markdown=files.existing(directory / "message.md"),
    )


def _unsubscribe(settings: Settings) -> Unsubscribe:
    mailto: Address | None = settings.get("unsubscribe", "mailto")
    return Unsubscribe(
        url=settings.get("unsubscribe", "url") or "",
        mailto=mailto.mailbox if mailto else "",
        url_ends=settings.get("unsubscribe", "url_ends"),
    )


def _dkim(settings: Settings, domain: str) -> Dkim | None:
    if "dkim" not in settings.tables:
        return None
    domain, beside = settings.get("dkim", "domain") or domain, settings.get(*ED25519)
    return Dkim(
        domain,
        settings.get("dkim", "selector"),
        settings.path("dkim", "key"),
        settings.get("dkim", "algorithm"),
        Dkim(domain, beside, None, "ed25519-sha256") if beside else None,
    )


def _delivery(settings: Settings) -> Delivery:
    via, security = settings.get("delivery", "via"), settings.get("delivery", "security")
    usual = _PORTS["none" if via == "direct" else security]
    return Delivery(
        via=via,
        host=settings.get("delivery", "host") or "",
        port=settings.get("delivery", "port") or usual,
        security=security,
        username=settings.get("delivery", "username") or "",
        password=_secret(settings, "delivery", "password"),
        ca_file=settings.path("delivery", "ca_file"),
        connections=settings.get("delivery", "connections"),
        retry=settings.get("delivery", "retry"),
        give_up_after=settings.get("delivery", "give_up_after"),
        maildir=settings.path("delivery", "maildir"),
        ehlo=settings.get("delivery", "ehlo") or "",
        source=settings.get("delivery", "source") or (),
        resolver=settings.get("delivery", "resolver") or "",
        trust_ad=settings.get("delivery", "trust_ad"),
        allow_loopback=settings.get("delivery", "allow_loopback"),
    )


def _secret(settings: Settings, *path: str) -> SecretSource | None:
    setting = settings.given.get(path)
    if setting is None:
        return None
    source: SecretSource = setting.value
    if source.kind == "file":
        return SecretSource("file", str(located(setting.base, source.value)))
    return source


def _thresholds(settings: Settings) -> Thresholds:
    names = (each.name for each in fields(Thresholds))
    return Thresholds(**{name: settings.get("breaker", name) for name in names})


def _declared(settings: Settings) -> Declared:
    """What only `check` reads."""
    keys = (key for key in declared.KEYS if key.table != ATTEST)
    values = {key.name: settings.get(key.table, key.name) for key in keys}
    values["wireless_domains"] = settings.path("check", "wireless_domains")
    values["attested"] = {path[0]: each.value for path, each in settings.below(ATTEST)}
    return Declared(**values)


def _policy(settings: Settings) -> Policy:
    names = (each.name for each in fields(Policy))
    return Policy(**{name: settings.get(suppression.TABLE, name) for name in names})
