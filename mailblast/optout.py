"""The workspace's suppression list: adding, looking up, giving away, and lifting by consent."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

from mailblast import suppression
from mailblast.address import parse as parse_address
from mailblast.errors import Problem, Refusal, Refused, UserError
from mailblast.ledger import Ledger, Suppression, keys_of
from mailblast.runbook import RunBook
from mailblast.suppression import Entry
from mailblast.suppression.policy import Recorded


def entries(texts: Iterable[str], reason: str) -> Iterator[Entry | Problem]:
    """Addresses, domains and hashes as entries, and a Problem for each that is none."""
    for text in texts:
        key = suppression.parse(text)
        yield Problem(text, key.why) if isinstance(key, Refusal) else Entry(key, reason)


def read_list(path: Path, reason: str | None) -> Iterator[Entry | Problem]:
    """The entries of a file, and a Problem for each line that is none; `reason` replaces
    theirs.  Raises Problems when the file cannot be read."""
    for entry in suppression.read(path):
        if isinstance(entry, Entry) and reason:
            yield Entry(entry.key, reason, line=entry.line)
        else:
            yield entry


def check(ledger: Ledger, text: str) -> list[Suppression]:
    """The entries that concern an address (its own, its domain's, its hashes'), or a domain."""
    key = suppression.parse(text)
    if isinstance(key, Refusal):
        raise UserError(f"{text}: {key}")
    return ledger.suppressions.check(_keys(key))


def causes(ledger: Ledger, entries: Iterable[Suppression]) -> dict[int, Recorded]:
    """The events that caused these entries, by their numbers."""
    ids = sorted({number for entry in entries for number in entry.events})
    return {one.id: one for one in ledger.history.numbered(ids)}


def _keys(key: str) -> tuple[str, ...]:
    """Every key under which an address stands; of a domain or a hash, itself."""
    return (key,) if key.startswith(("@", "sha256:", "md5:")) else keys_of(key)


def lift(ledger: Ledger, text: str, consent: str, now: float) -> int:
    """Take an entry off the list because of a consent; says how many entries it had.

    An address is taken off as a hash too: it is the same person.  An entry for the whole
    domain stands, since the consent is not theirs to give.  Raises Refused for a consent that
    is not later than the opt-out.
    """
    key = suppression.parse(text)
    if isinstance(key, Refusal):
        raise UserError(f"{text}: {key}")
    own = [one for one in _keys(key) if one == key or not one.startswith("@")]
    standing = [one for one in ledger.suppressions.check(own) if one.removed is None]
    _see_that_it_is_later(consent, [one.added for one in standing if not one.bounced], now)
    return sum(ledger.suppressions.remove(one, now, consent) for one in own)


def _see_that_it_is_later(consent: str, opt_outs: Sequence[float], now: float) -> None:
    """Only a consent after the opt-out re-opens (15 U.S.C. 7704(a)(4)(B))."""
    if not opt_outs:
        return
    since, today = (datetime.fromtimestamp(at).date() for at in (max(opt_outs), now))
    days = [found for one in _DAY.findall(consent) if (found := _day(one))]
    hint = f'say the day on which they agreed: --consent "form on …, {today}"'
    if not days:
        raise Refused("a consent counts from a day, and this names none", hint)
    if not since <= max(days) <= today:
        raise Refused(f"they opted out on {since}: only a consent since then counts", hint)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


_DAY = re.compile(r"\b\d{4}-\d\d-\d\d\b", re.ASCII)


def export(ledger: Ledger, path: Path, *, clear: bool) -> int:
    """Write the list as CSV; addresses as SHA-256 unless `clear`.  Says how many.

    An address that opted out may not be passed on except to honour the opt-out (15 U.S.C.
    7704(a)(4)(A)(iv)); as a hash it can be compared and not mailed.  That they went out in
    clear is written into the run book.
    """
    if clear:
        at = datetime.now().astimezone().isoformat(timespec="seconds")
        RunBook(ledger.directory).put("exports", at, {"file": path.name})
    with path.open("x", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["email" if clear else "hash", "reason"])
        count = 0
        for key, reason in _exported(ledger, clear=clear):
            writer.writerow([key, reason])
            count += 1
    return count


def _exported(ledger: Ledger, *, clear: bool) -> Iterator[tuple[str, str]]:
    for entry in ledger.suppressions.all():
        plain = isinstance(parse_address(entry.key), Refusal) or clear
        key = entry.key if plain else f"sha256:{sha256(entry.key.encode()).hexdigest()}"
        # What a spreadsheet would run as a formula; a domain's entry begins with "@".
        yield (f"'{key}" if key[0] in "=+-" else key), entry.reason
