"""The list: addresses that cannot be mailed, should not be, or that nobody ever gave.

What is found is told and set aside (`send` mails no row twice, and nobody on the suppression
list); `mailblast list clean` takes it out.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from mailblast.check.census import FIRST, Hygiene, Mailable, Noted
from mailblast.check.facts import Facts, Listed, Seen
from mailblast.check.finding import Verdict, failed, passed, warned
from mailblast.check.pack import Check
from mailblast.hygiene.disposable import edition, is_disposable
from mailblast.hygiene.typo import meant
from mailblast.quantity import counted


def syntax(facts: Facts) -> Iterator[Verdict]:
    """SMTP-ADDR-SYNTAX: one address a row, without characters that receivers refuse, at the
    domain that was meant."""
    told = facts.of(Hygiene)
    slips = {
        f"{domain} → {right}": seen
        for domain, seen in facts.of(Listed).domains.items()
        if (right := meant(domain))
    }
    if told.invalid.rows:
        yield warned(_rows(told.file, told.invalid), what=_INVALID(told.invalid.rows))
    if told.unusual.rows:
        yield warned(_rows(told.file, told.unusual), what=_UNUSUAL(told.unusual.rows))
    if slips:
        yield warned(_domains(told.file, slips), what=_MISTYPED(_sum(slips)))
    if not (told.invalid.rows or told.unusual.rows or slips):
        yield passed(f"{counted(told.rows, 'row')}, each with one address")


def hygiene(facts: Facts) -> Iterator[Verdict]:
    """BNC-HYGIENE: nobody twice, nobody who is suppressed, no jobs, no mailboxes of an hour."""
    told, listed = facts.of(Hygiene), facts.of(Listed)
    # Who gathers mail for gmial.com stands there too; the slip says more, and is told above.
    short = {
        name: seen
        for name, seen in listed.domains.items()
        if is_disposable(name) and not meant(name)
    }
    for noted, what in (
        (told.duplicates, _REPEATED),
        (told.roles, _ROLES),
        (told.bounced, _BOUNCED),
    ):
        if noted.rows:
            yield warned(_rows(told.file, noted), what=what(noted.rows))
    if short:
        yield warned(_domains(told.file, short), what=_DISPOSABLE(_sum(short)))
    if not (told.duplicates.rows or told.roles.rows or short):
        yield passed(f"no duplicate, no role account, no domain of {edition()}")
    if told.suppressed is not None:
        yield passed(_suppressed(told.file, told.suppressed))
    yield from _mailable(facts, told, listed)


def _mailable(facts: Facts, told: Hygiene, listed: Listed) -> Iterator[Verdict]:
    """Whether the domains take mail.  It fails where they alone would trip the breaker."""
    found = facts.of(Mailable)
    asked = f"{found.asked:,} of {found.domains:,} domains were looked up"
    if found.asked < found.domains:
        asked += ", those with most rows (--all-domains)"
    if found.unanswered:
        asked += f"; {found.unanswered:,} gave no answer"
    if not found.dead:
        yield passed(f"no domain is known to take no mail; {asked}")
        return
    dead = {why: listed.domains[domain] for domain, why in found.dead.items()}
    rows = _sum(dead)
    verdict = failed if rows > facts.campaign.breaker.hard * told.rows else warned
    yield verdict(f"{_domains(told.file, dead)}; {asked}", what=_DEAD(rows))


def _suppressed(file: str, noted: Noted) -> str:
    if not noted.rows:
        return "nobody in it is on the suppression list"
    return f"on the suppression list, and left out by send: {_rows(file, noted)}"


def dictionary(facts: Facts) -> Iterator[Verdict]:
    """CANSPAM-DICTIONARY: no addresses that a program has made up."""
    told = facts.of(Hygiene)
    for one in told.generated[:FIRST]:
        where = f"{told.file}:{one.line}: {one.why}"
        yield warned(where, domain=one.domain, n=f"{one.rows:,}")
    if more := told.generated[FIRST:]:
        rows = f"{sum(one.rows for one in more):,}"
        yield warned("as in those named above", domain="Elsewhere", n=rows)
    if not told.generated:
        yield passed(
            "no domain has addresses in a row, many role accounts, or one name often"
        )


# --- Words ----------------------------------------------------------------------------------


_INVALID = partial(
    counted,
    one="row has no address that can be mailed",
    many="rows have no address that can be mailed",
)
_UNUSUAL = partial(
    counted,
    one="address has a character that some receivers refuse",
    many="addresses have a character that some receivers refuse",
)
_MISTYPED = partial(
    counted,
    one="address is at a domain that looks mistyped",
    many="addresses are at domains that look mistyped",
)
_REPEATED = partial(
    counted,
    one="row repeats an address; send mails it once",
    many="rows repeat an address; send mails each once",
)
_ROLES = partial(
    counted,
    one="address names a job and no person (a role account)",
    many="addresses name a job and no person (role accounts)",
)
_DEAD = partial(
    counted,
    one="address is at a domain that takes no mail",
    many="addresses are at domains that take no mail",
)
_BOUNCED = partial(
    counted,
    one="address bounced last time, and is not suppressed for it yet",
    many="addresses bounced last time, and are not suppressed for it yet",
)
_DISPOSABLE = partial(
    counted,
    one="address is at a disposable domain",
    many="addresses are at disposable domains",
)


def _rows(file: str, noted: Noted) -> str:
    """`recipients.csv:12 (as line 3), :14 and 40 more`."""
    shown = [f":{line}{f' ({remark})' if remark else ''}" for line, remark in noted.first]
    return f"{file}{', '.join(shown)}{_more(noted.rows - len(shown))}"


def _domains(file: str, found: Mapping[str, Seen]) -> str:
    """The domains with most rows: `gmial.com → gmail.com (12, recipients.csv:40)`."""
    most = sorted(found.items(), key=lambda one: (-one[1].rows, one[1].line))
    shown = [f"{name} ({seen.rows:,}, {file}:{seen.line})" for name, seen in most[:FIRST]]
    return ", ".join(shown) + _more(len(most) - len(shown))


def _more(number: int) -> str:
    return f" and {number:,} more" if number else ""


def _sum(found: Mapping[str, Seen]) -> int:
    return sum(seen.rows for seen in found.values())


CHECKS: dict[str, Check] = {
    "SMTP-ADDR-SYNTAX": syntax,
    "BNC-HYGIENE": hygiene,
    "CANSPAM-DICTIONARY": dictionary,
}
