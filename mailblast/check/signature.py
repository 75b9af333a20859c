"""DKIM: whether receivers can verify what we sign."""

from collections.abc import Iterator
from dataclasses import dataclass

from mailblast.campaign import Dkim
from mailblast.check.answers import unanswered
from mailblast.check.facts import Facts, Messages
from mailblast.check.finding import Verdict, asked, failed, passed, skipped, warned
from mailblast.check.pack import Check
from mailblast.check.published import DkimKey, Dmarc
from mailblast.errors import Refusal
from mailblast.keyrecord import KeyRecord, parse
from mailblast.signing import MIN_RSA_BITS, RSA_BITS, PublicHalf, verify

MAX_RSA_BITS = 4096  # larger ones some verifiers refuse, and a record gets too long


@dataclass(frozen=True, slots=True)
class OwnKey:
    """The public half of the private key that signs, and the record that publishes it; and
    those of the second one."""

    public: PublicHalf
    record: str
    second: "OwnKey | None" = None

    @property
    def each(self) -> tuple["OwnKey", ...]:
        """Of each key that signs."""
        return (self, self.second) if self.second else (self,)


def signed(facts: Facts) -> Iterator[Verdict]:
    """BULK-DKIM: each signature of a composed message verifies with its published key."""
    keys = facts.campaign.dkim
    if keys is None:
        yield _by_another(facts)
        return
    for key, found in zip(keys.keys, facts.of(DkimKey).each, strict=True):
        yield from _signed_with(facts, key, found)


def _signed_with(facts: Facts, key: Dkim, found: DkimKey) -> Iterator[Verdict]:
    if found.found.failure and found.found.failure.transient:
        yield unanswered(found.name, found.found.failure, **_named(key))
        return
    if not found.found.records:
        problem = f"{found.name} {found.found.failure}"
        yield failed(problem, **_named(key), problem=problem)
        return
    facts.of(OwnKey)  # without the private key nothing was signed
    for sample in facts.of(Messages).samples:
        if not any(
            verify(sample.content, found.name, text) for text in found.found.records
        ):
            problem = "the published key is not the one that signs"
            yield failed(sample.name, **_named(key), problem=problem)
            return
    yield passed(f"messages as composed, with the key at {found.name}")


def _named(key: Dkim) -> dict[str, str]:
    return {"s": key.selector, "d": key.domain}


def _by_another(facts: Facts) -> Verdict:
    """Without a key of ours the relay has to sign, which cannot be seen from here."""
    facts.of(Dmarc)  # whoever asks no DNS is not asked either
    delivery, domain = facts.campaign.delivery, facts.campaign.sender.mailbox.address.domain
    named = {"s": "(none)", "d": domain}
    if delivery.via == "direct":
        return failed("no [dkim]", **named, problem="there is none")
    problem = "mailblast signs nothing, and nobody has said that the relay does"
    return asked("no [dkim]", f"{delivery.host} signs {domain}", **named, problem=problem)


def published(facts: Facts) -> Iterator[Verdict]:
    """DKIM-KEY: one record, a key that is long enough, not revoked, and ours."""
    keys = facts.campaign.dkim
    if keys is None:
        yield skipped("mailblast does not sign: there is no [dkim]")
        return
    for number, (key, found) in enumerate(
        zip(keys.keys, facts.of(DkimKey).each, strict=True)
    ):
        yield from _published(facts, number, key, found)


def _published(facts: Facts, number: int, key: Dkim, found: DkimKey) -> Iterator[Verdict]:
    texts = found.found.records
    if found.found.failure and found.found.failure.transient:
        yield unanswered(found.name, found.found.failure, name=found.name)
    elif not texts:
        problem = str(found.found.failure)
        yield failed(problem, name=found.name, problem=problem)
    elif len(texts) > 1:
        problem = f"there are {len(texts)} records, and which one counts is open"
        yield failed(" | ".join(texts), name=found.name, problem=problem)
    else:
        yield from _judged(facts, number, key, texts[0])


def _judged(facts: Facts, number: int, key: Dkim, text: str) -> Iterator[Verdict]:
    name = f"{key.selector}._domainkey.{key.domain}"
    record = parse(text)
    if isinstance(record, Refusal):
        yield failed(text, name=name, problem=str(record))
        return
    if record.revoked:
        yield failed(text, name=name, problem="the key is revoked: p= is empty")
        return
    public = record.public
    if isinstance(public, Refusal):
        yield failed(text, name=name, problem=str(public))
        return
    worst = list(_unusable(record, key, public, name)) + list(_length(public, name))
    if record.testing:
        problem = "t=y: verifiers treat the mail as unsigned"
        worst.append(warned(text, name=name, problem=problem))
    yield from worst
    if public != facts.of(OwnKey).each[number].public:
        problem = "the published key is not the other half of the private key"
        yield failed(text, name=name, problem=problem)
    elif not worst:
        yield passed(f"{name}: {public.kind}, {public.bits} bits, and ours")


def _unusable(
    record: KeyRecord, key: Dkim, public: PublicHalf, name: str
) -> Iterator[Verdict]:
    seen = f"k={record.kind}, h={':'.join(record.hashes) or 'any'}"
    if public.kind != key.algorithm.partition("-")[0]:
        yield failed(
            seen, name=name, problem=f"k={record.kind}, but we sign {key.algorithm}"
        )
    if record.hashes and "sha256" not in record.hashes:
        yield failed(seen, name=name, problem="h= leaves sha256 out")
    if not record.for_mail:
        yield failed(seen, name=name, problem="s= says that it is not for e-mail")


def _length(public: PublicHalf, name: str) -> Iterator[Verdict]:
    if public.kind != "rsa":
        return
    problem = f"the key has {public.bits} bits"
    if public.bits < MIN_RSA_BITS:
        yield failed(problem, name=name, problem=problem)
    elif public.bits < RSA_BITS or public.bits > MAX_RSA_BITS:
        yield warned(problem, name=name, problem=f"{problem}; {RSA_BITS} are usual")


def everywhere(facts: Facts) -> Verdict:
    """DKIM-ED25519: it never signs alone, since many receivers cannot verify it (RFC 8463)."""
    key = facts.campaign.dkim
    if key is None:
        return skipped("mailblast does not sign: there is no [dkim]")
    seen = f'[dkim] algorithm = "{key.algorithm}"'
    if key.second:
        seen += f", and a second signature with {key.second.algorithm}"
    return passed(seen) if key.algorithm == "rsa-sha256" else failed(seen)


CHECKS: dict[str, Check] = {
    "DKIM-ED25519": everywhere,
    "BULK-DKIM": signed,
    "DKIM-KEY": published,
}
