"""What a real spam filter thinks of the messages."""

from collections.abc import Iterator

from mailblast.check.facts import Facts, Score, SpamScores
from mailblast.check.finding import Verdict, failed, passed, warned
from mailblast.check.pack import Check
from mailblast.quantity import counted

HEAVIEST = 5  # symbols to name
NEAR = 0.5  # of SpamAssassin's limit
_SPAM = frozenset(
    ("spam", "add header", "rewrite subject", "quarantine", "discard", "reject")
)
_DOUBT = frozenset(("greylist", "soft reject"))


def scored(facts: Facts) -> Iterator[Verdict]:
    """MSG-SPAM-SCORE: no message is spam to it, and none is near."""
    found = facts.of(SpamScores)
    away = "; the messages left this machine" if found.elsewhere else ""
    wrong = False
    for score in found.scores:
        what = _what(score)
        if not what:
            continue
        wrong = True
        heavy = sorted(score.symbols, key=lambda one: -one.points)[:HEAVIEST]
        heavy = [one for one in heavy if one.points > 0]
        yield (failed if score.action in _SPAM else warned)(
            f"{score.message}: {'; '.join(filter(None, (one.says for one in heavy)))}{away}",
            filter=found.filter,
            what=what,
            points=f"{score.points:g}",
            limit=f"{score.limit:g}",
            symbols=", ".join(f"{one.name} {one.points:g}" for one in heavy)
            or "no symbols",
        )
    if not wrong:
        worst = max(found.scores, key=lambda one: one.points)
        points = f"at most {worst.points:g} of {worst.limit:g} points"
        yield passed(
            f"{found.filter}: {points}, {counted(len(found.scores), 'message')}{away}"
        )


def _what(score: Score) -> str:
    """What it takes the message for, or would do with it ("" if all is well)."""
    if score.action in _SPAM or score.action in _DOUBT:
        return "spam" if score.action == "spam" else f'spam ("{score.action}")'
    return "nearly spam" if score.action == "ham" and _near(score) else ""


def _near(score: Score) -> bool:
    return score.limit > 0 and score.points >= NEAR * score.limit


CHECKS: dict[str, Check] = {"MSG-SPAM-SCORE": scored}
