"""DMARC: which policy holds for From, and whether SPF and DKIM speak for its domain (RFC 9989)."""

from collections.abc import Iterator

from mailblast import dmarc as tree
from mailblast.check.answers import unanswered
from mailblast.check.facts import Facts, NotGathered
from mailblast.check.finding import Verdict, failed, passed, skipped, warned
from mailblast.check.pack import Check
from mailblast.check.published import Dmarc, Spf
from mailblast.check.volume import in_bulk
from mailblast.dmarc import OBSOLETE, Record, Walk
from mailblast.spf import Result

# They say p=quarantine, p=reject, or refuse mail of theirs that others send (GFAQ).
FREEMAIL = frozenset(
    (
        *("gmail.com", "googlemail.com", "yahoo.com", "ymail.com", "aol.com"),
        *("outlook.com", "hotmail.com", "live.com", "msn.com"),
        *("icloud.com", "me.com", "mac.com", "gmx.de", "gmx.net", "web.de"),
    )
)

UNSIGNED = "mailblast does not sign, and what the relay signs cannot be seen from here"


def policy(facts: Facts) -> Iterator[Verdict]:
    """BULK-DMARC: one usable record, of the domain or found by walking up from it."""
    dmarc = facts.of(Dmarc)
    walk, record = dmarc.sender, dmarc.sender.policy
    domain = walk.domain
    for step in walk.steps:
        if len(step.records) > 1:
            problem = f"_dmarc.{step.domain} has {len(step.records)} records: none counts"
            yield failed(
                " | ".join(one.text for one in step.records), domain=domain, problem=problem
            )
            return
    if record is not None:
        found = list(_lacking(record, dmarc, domain))
        yield from found or [passed(f"_dmarc.{record.domain}: {record.text}")]
        return
    misspelt = [text for step in walk.steps for text in step.misspelt]
    if misspelt:
        problem = "v= must come first and be exactly DMARC1"
        yield failed(misspelt[0], domain=domain, problem=problem)
    elif walk.unknown and walk.unknown.failure:
        name = f"_dmarc.{walk.unknown.domain}"
        yield unanswered(name, walk.unknown.failure, domain=domain)
    else:
        asked = ", ".join(f"_dmarc.{step.domain}" for step in walk.steps)
        yield failed(f"asked: {asked}", domain=domain, problem="there is no record")


def _lacking(record: Record, dmarc: Dmarc, domain: str) -> Iterator[Verdict]:
    def lack(problem: str) -> Verdict:
        return warned(
            f"_dmarc.{record.domain}: {record.text}", domain=domain, problem=problem
        )

    if not record.policy("p"):
        yield lack("p= is missing; that is p=none by RFC 9989, and no policy for Gmail")
    for tag in OBSOLETE:
        if tag in record.tags:
            yield lack(f"{tag}= is no longer part of DMARC (RFC 9989)")
    if not record.reports_to:
        yield lack("without rua=mailto:… you learn nothing of who sends in your name")
    for name, agrees in dmarc.strangers.items():
        if not agrees:
            wanted = f"{record.domain}._report._dmarc.{name}"
            yield lack(f"reports to {name} are dropped: it has no record {wanted}")


def _by_spf(dmarc: Dmarc) -> bool:
    mode = dmarc.sender.policy.alignment("aspf") if dmarc.sender.policy else "relaxed"
    return tree.aligned(dmarc.sender, dmarc.return_path, mode)


def _by_dkim(dmarc: Dmarc) -> bool:
    mode = dmarc.sender.policy.alignment("adkim") if dmarc.sender.policy else "relaxed"
    return dmarc.signer is not None and tree.aligned(dmarc.sender, dmarc.signer, mode)


def _blind(dmarc: Dmarc) -> Walk | None:
    """A walk with a hole, when alignment rests on it: equal domains are aligned anyhow."""
    walks = [dmarc.sender, dmarc.return_path, *([dmarc.signer] if dmarc.signer else [])]
    if len({walk.domain for walk in walks}) == 1:
        return None
    return next((walk for walk in walks if walk.unknown), None)


def _relayed(facts: Facts) -> bool:
    """Whether somebody else may sign."""
    return facts.campaign.dkim is None and facts.campaign.delivery.via != "direct"


def either(facts: Facts) -> Verdict:
    """BULK-ALIGN: the return path or the signature is of From's organisation."""
    dmarc = facts.of(Dmarc)
    blind = _blind(dmarc)
    signer = dmarc.signer.domain if dmarc.signer else "unsigned"
    named = {
        "sender": dmarc.sender.domain,
        "mailfrom": dmarc.return_path.domain,
        "d": signer,
    }
    if blind and blind.unknown and blind.unknown.failure:
        return unanswered(f"_dmarc.{blind.unknown.domain}", blind.unknown.failure, **named)
    spf, dkim = _by_spf(dmarc), _by_dkim(dmarc)
    seen = (
        f"organisational domains: {dmarc.sender.organisational} of From, "
        f"{dmarc.return_path.organisational} of the return path"
    )
    if dmarc.signer:
        seen += f", {dmarc.signer.organisational} of the signature"
    if spf or dkim:
        return passed(seen)
    return skipped(UNSIGNED) if _relayed(facts) else failed(seen, **named)


def both(facts: Facts) -> Verdict:
    """BULK-ALIGN-BOTH: better both than one."""
    dmarc = facts.of(Dmarc)
    if _blind(dmarc):
        return skipped("the way up from a domain has holes: see BULK-ALIGN")
    spf, dkim = _by_spf(dmarc), _by_dkim(dmarc)
    if spf and dkim:
        return passed("the return path and the signature are of From's organisation")
    if not spf and not dkim:
        return skipped("neither is: see BULK-ALIGN")
    if spf and _relayed(facts):
        return skipped(UNSIGNED)
    which = "SPF" if spf else "DKIM"
    return warned(f"{which} alone", which=which, orgdomain=dmarc.sender.organisational)


def signed(facts: Facts) -> Verdict:
    """DMARC-REJECT-SPFONLY: a strict policy needs a signature, for SPF does not survive."""
    dmarc = facts.of(Dmarc)
    wish = dmarc.sender.requested
    if wish not in ("quarantine", "reject"):
        return passed(f"p={wish or '(no record)'}")
    if _by_dkim(dmarc):
        return passed(f"p={wish}, and the signature is aligned")
    if _relayed(facts):
        return skipped(UNSIGNED)
    return failed(f"p={wish}", domain=dmarc.sender.domain, p=wish)


def return_path(facts: Facts) -> Verdict:
    """RP-ALIGN: the return path is of From's organisation, and aspf lets it be."""
    dmarc = facts.of(Dmarc)
    bounce, sender = dmarc.return_path, dmarc.sender
    if _blind(dmarc):
        return skipped("the way up from a domain has holes: see BULK-ALIGN")
    if _by_spf(dmarc):
        return passed(f"{bounce.domain} and {sender.domain}")
    if tree.aligned(sender, bounce, "relaxed"):
        problem = f"aspf=s: SPF can never align with the return path's {bounce.domain}"
    else:
        problem = f"{bounce.domain} is not of the organisation {sender.organisational}"
    return warned(f"{bounce.domain} and {sender.domain}", problem=problem)


def own_domain(facts: Facts) -> Verdict:
    """BULK-FROM-IMPERSONATE: From is of a domain whose policy this mail can meet."""
    domain = facts.campaign.sender.mailbox.address.domain
    if domain in FREEMAIL:
        return failed("a mailbox provider's domain", domain=domain)
    dmarc = facts.of(Dmarc)
    wish = dmarc.sender.requested
    if wish not in ("quarantine", "reject"):
        return passed(f"{domain}: p={wish or '(no record)'}")
    if _by_dkim(dmarc):
        return passed(f"{domain}: p={wish}; our own signature is aligned")
    if _by_spf(dmarc) and _spf_passes(facts):
        return passed(f"{domain}: p={wish}; SPF passes and is aligned")
    if _relayed(facts):
        return skipped(UNSIGNED)
    return failed(f"p={wish}, and nothing of ours is aligned", domain=domain)


def _spf_passes(facts: Facts) -> bool:
    try:
        results = facts.of(Spf).results.values()
    except NotGathered:
        return False
    return bool(results) and all(one.result is Result.PASS for one in results)


CHECKS: dict[str, Check] = {
    "BULK-DMARC": in_bulk(policy),
    "BULK-ALIGN": in_bulk(either),
    "BULK-ALIGN-BOTH": both,
    "DMARC-REJECT-SPFONLY": signed,
    "RP-ALIGN": return_path,
    "BULK-FROM-IMPERSONATE": own_domain,
}
