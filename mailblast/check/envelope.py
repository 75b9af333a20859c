"""SPF: whether the domain of the return path lets these addresses send for it."""

from collections.abc import Iterator

from mailblast.check.answers import unanswered
from mailblast.check.facts import Facts
from mailblast.check.finding import Verdict, failed, passed, skipped, warned
from mailblast.check.pack import Check
from mailblast.check.published import Spf
from mailblast.errors import Refusal
from mailblast.spf import MAX_LOOKUPS, MAX_VOIDS, Result
from mailblast.spf.record import Record, parse, records

NEARLY = 8  # lookups; an include that grows by two breaks it

NO_ADDRESS = (
    "which addresses the mail leaves from is not known: say it in [check] "
    "sending_addresses, or spf_include for a relay"
)


def permits(facts: Facts) -> Iterator[Verdict]:
    """BULK-SPF: SPF passes from every sending address, or includes the relay's."""
    spf = facts.of(Spf)
    if spf.found.failure and spf.found.failure.transient:
        yield unanswered(spf.domain, spf.found.failure, domain=spf.domain)
        return
    if not records(spf.found.records):
        yield failed("no record", domain=spf.domain, problem="there is no record")
        return
    wanted = facts.campaign.declared.spf_include
    if wanted:
        yield _included(spf, wanted)
    for ip, found in spf.results.items():
        seen = f"{ip}: {found.result} ({found.why})"
        problem = f"for mail from {ip} the result is {found.result}"
        if found.result is Result.PASS:
            yield passed(seen)
        elif found.result is Result.TEMPERROR:
            yield warned(seen, domain=spf.domain, problem=problem)
        else:
            yield failed(seen, domain=spf.domain, problem=problem)
    if not wanted and not spf.results:
        yield skipped(NO_ADDRESS)


def _included(spf: Spf, wanted: str) -> Verdict:
    if wanted in spf.survey.included:
        return passed(f"{spf.domain} includes {wanted}")
    problem = f"it does not include {wanted}"
    return failed(f"included: {_listed(spf)}", domain=spf.domain, problem=problem)


def _listed(spf: Spf) -> str:
    return ", ".join(spf.survey.included) or "nothing"


def lookups(facts: Facts) -> Verdict:
    """SPF-LOOKUPS: at most 10 terms make a receiver ask, and 2 find nothing."""
    spf = facts.of(Spf)
    if not _readable(spf):
        return skipped(f"{spf.domain} has no record that can be read")
    survey = spf.survey
    seen = f"{survey.lookups} lookups, {survey.voids} in vain; included: {_listed(spf)}"
    if survey.lookups > MAX_LOOKUPS:
        problem = f"needs {survey.lookups} DNS lookups"
    elif survey.voids > MAX_VOIDS:
        problem = f"makes {survey.voids} DNS lookups that find nothing"
    elif survey.lookups > NEARLY:
        problem = f"needs {survey.lookups} DNS lookups, and grows with whom it includes"
        return warned(seen, domain=spf.domain, problem=problem)
    else:
        return passed(seen)
    return failed(seen, domain=spf.domain, problem=problem)


def _readable(spf: Spf) -> Record | None:
    texts = records(spf.found.records)
    parsed = parse(texts[0]) if len(texts) == 1 else None
    return None if isinstance(parsed, Refusal) else parsed


def syntax(facts: Facts) -> Iterator[Verdict]:
    """SPF-SYNTAX: one record that every receiver can read, and that means something."""
    spf = facts.of(Spf)
    texts = records(spf.found.records)
    if not texts:
        yield skipped(f"{spf.domain} has no SPF record")
        return
    if len(texts) > 1:
        problem = f"there are {len(texts)} records, and exactly one is allowed"
        yield failed(" | ".join(texts), domain=spf.domain, problem=problem)
        return
    for fault in spf.survey.faults:
        yield failed(fault, domain=spf.domain, problem=f"{fault}: a permerror")
    record = _readable(spf)
    found = list(_oddities(spf, record)) if record else []
    yield from found
    if record and not found and not spf.survey.faults:
        yield passed(record.text)


def _oddities(spf: Spf, record: Record) -> Iterator[Verdict]:
    """What is allowed, and is not meant."""
    everybody = record.everybody

    def odd(problem: str) -> Verdict:
        return warned(record.text, domain=spf.domain, problem=problem)

    if everybody and everybody.qualifier == "+":
        problem = f"{everybody.text} lets the whole world send in your name"
        yield failed(record.text, domain=spf.domain, problem=problem)
    if everybody and everybody.qualifier == "?":
        yield odd("?all says nothing of those who are not named")
    if any(one.mechanism == "ptr" for one in record.directives):
        yield odd("ptr should not be used, and some receivers skip it")
    if not everybody and not record.redirect:
        yield odd("it ends without all or redirect=")
    if everybody and everybody is not record.directives[-1]:
        yield odd("what stands behind all is not looked at")
    if everybody and record.redirect:
        yield odd("redirect= beside all is not looked at")


def hard_fail(facts: Facts) -> Verdict:
    """SPF-HARDFAIL: `-all` refuses at the door what is forgotten in the record."""
    spf = facts.of(Spf)
    record = _readable(spf)
    if record is None:
        return skipped(f"{spf.domain} has no record that can be read")
    everybody = record.everybody
    if everybody and everybody.qualifier == "-":
        return warned(record.text, domain=spf.domain)
    return passed(record.text)


CHECKS: dict[str, Check] = {
    "BULK-SPF": permits,
    "SPF-LOOKUPS": lookups,
    "SPF-SYNTAX": syntax,
    "SPF-HARDFAIL": hard_fail,
}
