"""The dossier of a run: what proves that it was lawful, or shows where it was not.

It goes by what was kept when the run began (the ledger, and the copy of the content), and by
one message composed again and held against the digest of what was sent.  The files that lie in
the campaign's directory today have no say.  What is missing is named; nothing is guessed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from mailblast import preview
from mailblast.address import Address, Mailbox, parse
from mailblast.campaign import Campaign, load_policy
from mailblast.campaign.manifest import manifest_as_kept
from mailblast.check import Facts, Finding, Status, judge
from mailblast.check.facts import Consent, History, Late, Listed, Messages, Sample
from mailblast.check.links import targets
from mailblast.check.page import Page, read
from mailblast.check.survey import COLUMNS, Survey
from mailblast.content import kept
from mailblast.errors import Refusal, UserError
from mailblast.event import Disposition
from mailblast.header import columns_of
from mailblast.ledger import Ledger, OptOut, Run
from mailblast.preflight.listed import taken_apart
from mailblast.preflight.packs import found
from mailblast.reason import Reason
from mailblast.recipients import Row
from mailblast.report import RunReport, account, iso, outages_of
from mailblast.runbook import RunBook

_ARRIVED = (Disposition.ACCEPTED, Disposition.DELIVERED, Disposition.BOUNCED)


@dataclass(frozen=True, slots=True)
class Specimen:
    """One message of the run as its recipient has it: the first of the list that was taken.

    `proven`: its digest is that of the message that was sent.  `links` are all addresses in it,
    each with where it stands.
    """

    sample: Sample
    accepted: Disposition
    proven: bool
    digest: str
    links: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dossier:
    """All that is known of a run that the law asks about.

    `campaign` is as it was when the run began, `book` what the run book says of the run (empty
    when it was removed).  `findings` hold what was sent, and the opt-outs since, against the
    rules of the campaign's packs; what a run leaves no trace of is not among them.
    """

    report: RunReport
    campaign: Campaign | Refusal
    book: Mapping[str, Any]
    specimen: Specimen | Refusal
    consents: Mapping[Consent, int] | Refusal
    findings: tuple[Finding, ...]
    opt_outs: tuple[OptOut, ...]

    @property
    def late(self) -> tuple[OptOut, ...]:
        """Those whom mail was sent after they had asked for no more."""
        return tuple(one for one in self.opt_outs if one.mailed_after is not None)

    def as_json(self) -> dict[str, Any]:
        """The form of `report --compliance --json`."""
        return {
            "run": self.report.as_json(),
            "list": _list(self.report.run, self.campaign),
            "sender": _sender(self.campaign),
            "attestations": _attestations(self.campaign),
            "overrides": dict(self.book.get("overrides") or {}),
            "machine": self.book.get("machine"),
            "message": _message(self.specimen),
            "consents": _consents(self.consents),
            "findings": [asdict(one) for one in self.findings],
            "opt_outs": [_opt_out(one) for one in self.opt_outs],
            "outages": [one._asdict() for one in outages_of(self.book)],
        }


def dossier(ledger: Ledger, workspace: Path, run: Run) -> Dossier:
    """The dossier of a run.  Raises UserError for a policy pack that is not there any more."""
    policy, _ = load_policy(workspace)
    campaign = _kept(ledger, run)
    specimen = _specimen(ledger, workspace, run)
    listed = _listed(ledger, run, campaign)
    opt_outs = tuple(ledger.opt_outs.of(run.number))
    return Dossier(
        report=account(ledger, run, policy.bounce_window),
        campaign=campaign,
        book=RunBook(ledger.directory).get("runs", run.run) or {},
        specimen=specimen,
        consents=_counted(listed) if isinstance(listed, Listed) else listed,
        findings=_held_against_the_rules(run, campaign, specimen, listed, opt_outs),
        opt_outs=opt_outs,
    )


# --- Gathering ----------------------------------------------------------------------------


def _kept(ledger: Ledger, run: Run) -> Campaign | Refusal:
    try:
        return kept(ledger.directory, run.campaign.rpartition("/")[2], run.digest)
    except UserError as error:
        return Refusal(f"the copy of the content is gone: {error}")


def _specimen(ledger: Ledger, workspace: Path, run: Run) -> Specimen | Refusal:
    delivery = next(ledger.deliveries.those(run.number, *_ARRIVED), None)
    if delivery is None:
        return Refusal("no message was accepted")
    try:
        seen = preview.again(ledger, workspace, run, delivery)
    except UserError as error:
        return Refusal(f"it cannot be composed again: {error}")
    content = seen.message.content
    sample = taken_apart("the first accepted", seen.row, delivery.mailbox, content)
    page = read(sample.html) if sample.html else None
    return Specimen(
        sample,
        delivery.disposition,
        bool(seen.proven),
        (delivery.digest or b"").hex(),
        targets(sample, page if isinstance(page, Page) else None),
    )


def _listed(ledger: Ledger, run: Run, campaign: Campaign | Refusal) -> Listed | Refusal:
    """What the rows say of consent, as they were when they entered the ledger."""
    if isinstance(campaign, Refusal):
        return campaign
    columns = columns_of(run.header, campaign.recipients.email)
    if not set(COLUMNS).intersection(columns.names):
        return Refusal("the list has no column that speaks of consent")
    survey = Survey(columns)
    for row in _rows(ledger, run):
        survey.take(row)
    file = campaign.recipients.file.name
    return survey.listed(file, manifest_as_kept(run.manifest, campaign).list_digest)


def _rows(ledger: Ledger, run: Run) -> Iterator[Row]:
    for one in ledger.deliveries.those(run.number):
        parsed = parse(one.mailbox) if one.key else None
        address = parsed if isinstance(parsed, Address) else None
        yield Row(one.row, one.line, one.cells, address, one.reason, "")


def _counted(listed: Listed) -> Mapping[Consent, int]:
    return {consent: seen.rows for consent, seen in listed.consents.items()}


def _held_against_the_rules(
    run: Run,
    campaign: Campaign | Refusal,
    specimen: Specimen | Refusal,
    listed: Listed | Refusal,
    opt_outs: tuple[OptOut, ...],
) -> tuple[Finding, ...]:
    if isinstance(campaign, Refusal):
        return ()
    wishes = [one for one in opt_outs if one.reason == Reason.UNSUBSCRIBED]
    late = (Late(one.asked, one.mailed_after) for one in wishes if one.mailed_after)
    groups = {
        Messages: Messages((specimen.sample,))
        if isinstance(specimen, Specimen)
        else specimen,
        Listed: listed,
        History: History(len(wishes), tuple(late)),
    }
    content = manifest_as_kept(run.manifest, campaign).message_digest
    facts = Facts(_day(run), campaign, content, groups)
    findings = judge(facts, found(campaign.declared.packs))
    return tuple(one for one in findings if one.status is not Status.SKIP)


def _day(run: Run) -> date:
    """An attestation has to hold on the day on which the mail went out."""
    return datetime.fromtimestamp(run.started or run.created).astimezone().date()


# --- As JSON ------------------------------------------------------------------------------


def _list(run: Run, campaign: Campaign | Refusal) -> dict[str, Any]:
    digest = None
    if isinstance(campaign, Campaign):
        digest = manifest_as_kept(run.manifest, campaign).list_digest
    return {"digest": digest, "columns": list(run.header)}


def _sender(campaign: Campaign | Refusal) -> dict[str, Any] | None:
    if isinstance(campaign, Refusal):
        return None
    sender, way_out, dkim = campaign.sender, campaign.unsubscribe, campaign.dkim
    return {
        "from": _mailbox(sender.mailbox),
        "reply_to": _mailbox(sender.reply_to) if sender.reply_to else None,
        "organisation": sender.organisation,
        "postal_address": list(sender.postal_address),
        "unsubscribe": [one for one in (way_out.url, way_out.mailto) if one],
        "dkim": ", ".join(f"{k.selector}._domainkey.{k.domain}" for k in dkim.keys)
        if dkim
        else None,
        "purpose": campaign.message.purpose,
        "packs": list(campaign.declared.packs),
    }


def _mailbox(one: Mailbox) -> str:
    return f"{one.name} <{one.address.mailbox}>" if one.name else one.address.mailbox


def _attestations(campaign: Campaign | Refusal) -> dict[str, Any]:
    if isinstance(campaign, Refusal):
        return {}
    return {
        rule: {"by": one.by, "on": one.on.isoformat(), "digest": one.digest}
        for rule, one in campaign.declared.attested.items()
    }


def _message(specimen: Specimen | Refusal) -> dict[str, Any]:
    if isinstance(specimen, Refusal):
        return {"missing": str(specimen)}
    sample = specimen.sample
    return {
        "row": sample.row,
        "recipient": sample.recipient,
        "disposition": specimen.accepted,
        "proven": specimen.proven,
        "digest": specimen.digest,
        "subject": sample.subject,
        "headers": [list(one) for one in sample.headers],
        "text": sample.text,
        "links": dict(specimen.links),
    }


def _consents(consents: Mapping[Consent, int] | Refusal) -> list[dict[str, Any]] | None:
    if isinstance(consents, Refusal):
        return None
    return [
        {
            "basis": one.basis,
            "at": one.at.isoformat() if one.at else None,
            "country": one.country,
            "withdrawn": one.withdrawn,
            "rows": rows,
        }
        for one, rows in consents.items()
    ]


def _opt_out(one: OptOut) -> dict[str, Any]:
    times = ("asked", "added", "removed", "mailed_before", "mailed_after")
    return {**asdict(one), **{name: iso(getattr(one, name)) for name in times}}
