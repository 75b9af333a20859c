"""The list: where it comes from, and what its rows say of consent.

A row says it in columns: `consent` is a word of `survey.BASES`, `consent_at` the day from which
it counts; docs/check.md has the others.  A law applies to the rows of its countries, and to
every row that names no country.
"""

from collections.abc import Callable
from datetime import date, timedelta

from mailblast.check import visible
from mailblast.check.facts import Consent, Facts, Listed, Messages, Seen, WirelessDomains
from mailblast.check.finding import Verdict, asked, failed, passed, skipped, warned
from mailblast.check.pack import Check
from mailblast.check.phrases import ADVERTISEMENT
from mailblast.check.scope import commercial
from mailblast.check.survey import lines_of
from mailblast.check.volume import in_bulk
from mailblast.quantity import counted

SOON = timedelta(days=30)

EU_EEA = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE",
    "IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
})  # fmt: skip

Judged = Callable[[Consent, date], str]  # why the consent is none; "" where it is one


def sourced(facts: Facts) -> Verdict:
    """CANSPAM-HARVEST: the list's source is declared; any other has somebody's word."""
    source, file = facts.campaign.declared.source, facts.campaign.recipients.file.name
    if source is None:
        return failed("[recipients] source is not declared", file=file)
    if source in ("other", "third-party"):
        return asked(f'source = "{source}"', facts.of(Listed).digest, file=file)
    return passed(f'source = "{source}"')


def own(facts: Facts) -> Verdict:
    """BULK-LISTSOURCE: no list that was bought, rented or appended."""
    source, listed = facts.campaign.declared.source, facts.of(Listed)
    if source is None:
        return skipped("[recipients] source is not declared")
    if source == "third-party":
        return failed('source = "third-party"')
    confirmed = sum(seen.rows for one, seen in listed.consents.items() if one.confirmed)
    seen = f'source = "{source}"; {confirmed:,} of {listed.rows:,} rows with double opt-in'
    if source == "other":
        return asked(seen, f"asked for it\n{listed.digest}")
    return passed(seen)


def identified(facts: Facts) -> Verdict:
    """CANSPAM-AD-IDENT: it says that it is an advertisement, unless everyone agreed before."""
    listed, samples = facts.of(Listed), facts.of(Messages).samples
    without = {c: seen for c, seen in listed.consents.items() if not _express(c)}
    if not without:
        return passed("every row has an express consent with its date")
    for sample in samples:
        text = visible.read(sample.html).text if sample.html else sample.text
        if not ADVERTISEMENT.search(f"{sample.subject}\n{text}"):
            people = counted(_count(without), "recipient")
            return warned(f"{_rows(without, listed)}; {sample.name}", n=people)
    return passed(f"it is said in {counted(len(samples), 'message')}")


def _express(consent: Consent) -> bool:
    return consent.basis == "express" and consent.at is not None and not consent.withdrawn


def wireless(facts: Facts) -> Verdict:
    """CANSPAM-WIRELESS: nobody at a wireless domain without prior authorisation."""
    given, listed = facts.of(WirelessDomains), facts.of(Listed)
    found = {
        domain: seen.rows - listed.authorised.get(domain, 0)
        for domain, seen in listed.domains.items()
        if domain in given.domains
    }
    rows = sum(found.values())
    if rows:
        worst = ", ".join(f"{name} ({n:,})" for name, n in sorted(found.items()) if n)
        return failed(worst[:200], n=counted(rows, "recipient"))
    age = (facts.today - given.dated).days
    if age > SOON.days:
        return warned(
            f"the list of wireless domains is {age} days old", n="an unknown number"
        )
    return passed(
        f"nobody at {len(given.domains):,} wireless domains without authorisation"
    )


# --- Consent, law by law ------------------------------------------------------------------


def recorded(facts: Facts) -> Verdict:
    """CONSENT-RECORD: each row has a record that is live today."""
    return _all(facts, lambda _: True, _unproven)


def casl(facts: Facts) -> Verdict:
    """CASL-CONSENT: express, or implied and not run out (CASL s. 10(9), 10(10))."""
    found = _all(facts, lambda c: c.country in ("CA", ""), _casl)
    if found.status != "pass":
        return found
    soon = _all(facts, lambda c: c.country in ("CA", ""), _casl_soon)
    return soon if soon.status == "pass" else warned(soon.evidence, **soon.values)


def european(facts: Facts) -> Verdict:
    """EU-CONSENT: consent, or the soft opt-in (Directive 2002/58/EC Art. 13(1) and (2))."""
    found = _all(facts, lambda c: c.country in EU_EEA or not c.country, _opted_in)
    if found.status != "pass":
        return found
    unconfirmed = _all(facts, lambda c: c.country == "DE", _confirmed)
    if unconfirmed.status == "fail":
        return warned(unconfirmed.evidence, **unconfirmed.values)
    return found


def british(facts: Facts) -> Verdict:
    """UK-PECR: consent or soft opt-in for individuals; companies are exempt (reg. 22)."""
    return _all(
        facts,
        lambda c: c.country in ("GB", "UK", "") and not c.corporate,
        _opted_in,
    )


def australian(facts: Facts) -> Verdict:
    """AU-CONSENT: express or inferred (Spam Act 2003 s. 16, Schedule 2)."""
    return _all(facts, lambda c: c.country in ("AU", ""), _australian)


def _unproven(consent: Consent, today: date) -> str:
    if consent.odd:
        return f"{consent.odd} is no date"
    if not consent.basis:
        return "no consent recorded"
    if consent.basis in ("?", "none"):
        return "a word that is no consent" if consent.basis == "?" else "none given"
    if consent.withdrawn:
        return "withdrawn"
    if consent.expires and consent.expires < today:
        return "expired"
    return "" if consent.at else "no consent_at"


_CASL_MONTHS = {"implied_ebr": 24, "implied_inquiry": 6}


def _casl(consent: Consent, today: date) -> str:
    if consent.basis in ("express", "implied_published"):
        return _unproven(consent, today)
    if consent.basis not in _CASL_MONTHS:
        return _unproven(consent, today) or f"{consent.basis} is none under CASL"
    ends = _casl_ends(consent)
    if ends and ends < today:
        return f"{consent.basis} ended {ends}"
    return _unproven(consent, today)


def _casl_soon(consent: Consent, today: date) -> str:
    ends = _casl_ends(consent)
    return f"{consent.basis} ends {ends}" if ends and ends <= today + SOON else ""


def _casl_ends(consent: Consent) -> date | None:
    months = _CASL_MONTHS.get(consent.basis)
    return months_after(consent.at, months) if consent.at and months else None


def months_after(day: date, months: int) -> date:
    """The same day of a later month, or its last."""
    years, month = divmod(day.month - 1 + months, 12)
    for back in range(4):
        try:
            return date(day.year + years, month + 1, day.day - back)
        except ValueError:
            continue
    raise AssertionError("no month is shorter than 28 days")


def _opted_in(consent: Consent, today: date) -> str:
    if unproven := _unproven(consent, today):
        return unproven
    if consent.basis == "express":
        return ""
    if consent.basis != "soft_opt_in":
        return f"{consent.basis} is no opt-in"
    return "" if consent.soft_opt_in else "the conditions of soft opt-in are not recorded"


def _confirmed(consent: Consent, _today: date) -> str:
    single = consent.basis == "express" and not consent.confirmed
    return (
        "no double opt-in, by which alone consent can be proven in Germany"
        if single
        else ""
    )


def _australian(consent: Consent, today: date) -> str:
    if unproven := _unproven(consent, today):
        return unproven
    if consent.basis not in ("express", "inferred"):
        return f"{consent.basis} is none under the Spam Act"
    stale = (
        consent.basis == "inferred" and consent.at and months_after(consent.at, 24) < today
    )
    return "inferred from a relationship of more than two years ago" if stale else ""


def _all(facts: Facts, applies: Callable[[Consent], bool], judged: Judged) -> Verdict:
    """Whether every consent that a law applies to is one."""
    listed = facts.of(Listed)
    subject = {c: seen for c, seen in listed.consents.items() if applies(c)}
    if not subject:
        return skipped("no row is of a country of this law")
    reasons: dict[str, dict[Consent, Seen]] = {}
    for consent, seen in subject.items():
        if why := judged(consent, facts.today):
            reasons.setdefault(why, {})[consent] = seen
    if not reasons:
        return passed(f"{counted(_count(subject), 'row')}")
    worst = sorted(reasons, key=lambda why: -_count(reasons[why]))
    evidence = "; ".join(f"{why}: {_rows(reasons[why], listed)}" for why in worst[:3])
    people = counted(sum(map(_count, reasons.values())), "recipient")
    return failed(evidence, n=people, reason=worst[0])


def _count(seen: dict[Consent, Seen]) -> int:
    return sum(one.rows for one in seen.values())


def _rows(seen: dict[Consent, Seen], listed: Listed) -> str:
    return lines_of(list(seen.values()), listed.file)


CHECKS: dict[str, Check] = {
    "CANSPAM-HARVEST": commercial(sourced),
    "BULK-LISTSOURCE": in_bulk(own),
    "CANSPAM-AD-IDENT": commercial(identified),
    "CANSPAM-WIRELESS": commercial(wireless),
    "CONSENT-RECORD": commercial(recorded),
    "CASL-CONSENT": commercial(casl),
    "EU-CONSENT": commercial(european),
    "UK-PECR": commercial(british),
    "AU-CONSENT": commercial(australian),
}
