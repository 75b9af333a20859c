"""Settings that are good one by one and wrong together, or missing.

A problem stands at the key that is to be changed, or at the table that a key is missing
from, and says what to write.
"""

import ipaddress
from collections.abc import Iterator

from mailblast.campaign.keys import ED25519
from mailblast.campaign.settings import CAMPAIGN_FILE, WORKSPACE_FILE, Settings
from mailblast.errors import Problem

_ADD = {
    ("sender", "from"): 'from = "Your Name <news@yourdomain.com>"',
    ("message", "subject"): 'subject = "…"',
    ("dkim", "selector"): 'selector = "mb1"',
    ("delivery", "host"): 'host = "smtp.yourprovider.com" (or via = "sandbox" to practise)',
    ("delivery", "maildir"): 'maildir = "out"',
    (
        "delivery",
        "ehlo",
    ): 'ehlo = "mail.yourdomain.com" (the name of this machine\'s address)',
}


def consistency(settings: Settings) -> Iterator[Problem]:
    """All that is missing or contradicts itself."""
    yield from _needed(settings, "sender", "from")
    yield from _needed(settings, "message", "subject")
    yield from _delivery(settings)
    yield from _login(settings)
    if "dkim" in settings.tables:
        yield from _needed(settings, "dkim", "selector")
        yield from _alignment(settings)
        yield from _second_key(settings)


def _needed(settings: Settings, table: str, name: str) -> Iterator[Problem]:
    # One that was given and refused has its problem already.
    if (table, name) not in settings.given:
        hint = (
            f"add {_ADD[table, name]} to [{table}] in {CAMPAIGN_FILE}, "
            f"or in {WORKSPACE_FILE} for every campaign"
        )
        yield Problem(settings.where(table, name), f"[{table}] {name} is missing", hint)


def _delivery(settings: Settings) -> Iterator[Problem]:
    via, host = settings.get("delivery", "via"), settings.get("delivery", "host")
    if via == "relay":
        yield from _needed(settings, "delivery", "host")
    if via == "direct":
        # What the machine calls itself is mostly no name that the world can look up.
        yield from _needed(settings, "delivery", "ehlo")
    if via == "maildir":
        yield from _needed(settings, "delivery", "maildir")
    if host and settings.get("delivery", "security") == "none" and not is_loopback(host):
        yield Problem(
            settings.where("delivery", "security"),
            '[delivery] security = "none" is for a relay on this machine only',
            'write security = "starttls" or "tls"',
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or IP address can only be this machine (RFC 6761 §6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _login(settings: Settings) -> Iterator[Problem]:
    username = ("delivery", "username")
    password = ("delivery", "password")
    if username in settings.given and password not in settings.given:
        yield Problem(
            settings.where(*username),
            "[delivery] username has no password beside it",
            'add password = { env = "NAME" }, { file = "path" } or { command = "…" }',
        )
    if password in settings.given and username not in settings.given:
        yield Problem(
            settings.where(*password),
            "[delivery] password has no username beside it",
            'add username = "…"',
        )


def _alignment(settings: Settings) -> Iterator[Problem]:
    """DMARC asks for a signature by the domain of From (RFC 9989 §4.4.1)."""
    mailbox, domain = settings.get("sender", "from"), settings.get("dkim", "domain")
    if not mailbox or not domain:
        return
    sender = mailbox.address.domain
    if (
        domain != sender
        and not domain.endswith(f".{sender}")
        and not sender.endswith(f".{domain}")
    ):
        yield Problem(
            settings.where("dkim", "domain"),
            f"[dkim] domain {domain} does not go with {sender} in [sender] from",
            f'write domain = "{sender}", or leave it out: DMARC fails otherwise',
        )


def _second_key(settings: Settings) -> Iterator[Problem]:
    """It stands beside one with RSA, under a name of its own (RFC 8463 §3)."""
    beside = settings.get(*ED25519)
    if not beside:
        return
    if settings.get("dkim", "algorithm") != "rsa-sha256":
        yield Problem(
            settings.where("dkim", "algorithm"),
            "a second signature with Ed25519 stands beside one with RSA",
            'write algorithm = "rsa-sha256", or take ed25519_selector out',
        )
    if beside == settings.get("dkim", "selector"):
        yield Problem(
            settings.where(*ED25519),
            f"[dkim] ed25519_selector is {beside}, as selector is",
            "each key has a selector of its own",
        )
