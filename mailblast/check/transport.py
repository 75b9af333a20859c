"""TLS on the way to the domains that mail comes back to: what they say of it, and whom they tell.

RFC 8461 (MTA-STS): a record says that there is a policy, and the policy which hosts take mail.
Whoever sends to such a domain and enforces it delivers to no other host.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mailblast.check.answers import unanswered
from mailblast.check.facts import Facts
from mailblast.check.finding import Verdict, failed, passed, warned
from mailblast.check.pack import Check
from mailblast.check.published import Domains, Transport
from mailblast.errors import Refusal
from mailblast.mtasts import Policy, parse, record_id

RPT = "v=TLSRPTv1"
DAY = 86_400  # seconds; a policy that is forgotten sooner protects nobody (RFC 8461 §10.2)


@dataclass(frozen=True, slots=True)
class StsPolicies:
    """The texts of the policies behind the records, by domain, or why one was not fetched."""

    each: Mapping[str, str | Refusal]


def encrypted(facts: Facts) -> Iterator[Verdict]:
    """DNS-MTASTS: the domains that mail comes back to say that they speak TLS."""
    for domain, found in facts.of(Transport).mta_sts.items():
        name = f"_mta-sts.{domain}"
        if found.failure and found.failure.transient:
            yield unanswered(name, found.failure, domain=domain)
        elif identity := record_id(found.records):
            yield _policy(facts, domain, identity)
        elif any(text.startswith("v=STSv1") for text in found.records):
            problem = "has a record that is none, or two"
            yield failed(" | ".join(found.records), domain=domain, problem=problem)
        else:
            yield warned(f"no {name}", domain=domain, problem="has none")


def _policy(facts: Facts, domain: str, identity: str) -> Verdict:
    text = facts.of(StsPolicies).each[domain]
    if isinstance(text, Refusal):
        problem = "has a record, but its policy cannot be fetched"
        return failed(text.why, domain=domain, problem=problem)
    policy = parse(text)
    if isinstance(policy, Refusal):
        return failed(policy.why, domain=domain, problem="has a policy that is none")
    if policy.mode == "none":
        return warned("mode: none", domain=domain, problem="asks for nothing")
    left_out = _left_out(facts, domain, policy)
    if left_out:
        problem = f"leaves out {', '.join(left_out)}, where its mail goes"
        verdict = failed if policy.mode == "enforce" else warned
        return verdict(f"mx: {', '.join(policy.patterns)}", domain=domain, problem=problem)
    if policy.mode == "testing":
        return warned("mode: testing", domain=domain, problem="is not enforced yet")
    if policy.max_age < DAY:
        problem = f"is forgotten after {policy.max_age} seconds; weeks are usual"
        return warned(f"max_age: {policy.max_age}", domain=domain, problem=problem)
    return passed(f"{domain}: id={identity}, enforced for {', '.join(policy.patterns)}")


def _left_out(facts: Facts, domain: str, policy: Policy) -> tuple[str, ...]:
    """The mail hosts of the domain that are none of its policy's."""
    known = facts.of(Domains).each.get(domain)
    hosts = [one.host.lower().rstrip(".") for one in known.mx.records] if known else []
    return tuple(host for host in hosts if host and not policy.lists(host))


def reported(facts: Facts) -> Iterator[Verdict]:
    """TLS-RPT: somebody learns when mail to these domains fails for its TLS."""
    for domain, found in facts.of(Transport).tls_rpt.items():
        name = f"_smtp._tls.{domain}"
        texts = [text for text in found.records if text.replace(" ", "").startswith(RPT)]
        if found.failure and found.failure.transient:
            yield unanswered(name, found.failure, domain=domain)
        elif not texts:
            yield warned(f"no {name}", domain=domain, problem="has none")
        elif len(texts) > 1 or "rua=" not in texts[0].replace(" ", ""):
            problem = "has a record without rua=, or two"
            yield failed(" | ".join(texts), domain=domain, problem=problem)
        else:
            yield passed(texts[0])


CHECKS: dict[str, Check] = {
    "DNS-MTASTS": encrypted,
    "TLS-RPT": reported,
}
