"""Showing what is to be published in the DNS: as a diff, or as a zone file."""

from collections.abc import Sequence

from mailblast.quantity import counted
from mailblast.terminal import Screen
from mailblast.terminal.words import visible
from mailblast.zone import Entry, line


def show_diff(screen: Screen, entries: Sequence[Entry]) -> None:
    """Each entry: what stays, what goes (-), what is to be added (+)."""
    for entry in entries:
        screen.say(f"; {_heading(entry)}", "bold")
        for sign, style, values in (
            (" ", "", entry.kept),
            ("-", "red", entry.removed),
            ("+", "green", entry.added),
        ):
            for value in values:
                screen.say(visible(f"{sign} {line(entry.name, entry.kind, value)}"), style)
        if entry.note and not (entry.done and entry.kept):
            screen.say(f";   {visible(entry.note)}")
    _sum(screen, entries)


def _heading(entry: Entry) -> str:
    """What it is, and how it stands."""
    what = f"{entry.what}, which is optional" if entry.optional else entry.what
    if entry.unknown:
        return visible(f"{what}: not compared, for {entry.name} {entry.unknown}")
    if entry.done and entry.kept:
        return visible(f"{what}: published")
    if entry.removed and entry.added:
        return visible(f"{what}: to be changed")
    return visible(f"{what}: {'to be removed' if entry.removed else 'not published'}")


def _sum(screen: Screen, entries: Sequence[Entry]) -> None:
    # An entry without a record has a note that says what is missing.
    open_ = [one for one in entries if not one.optional and not (one.done and one.kept)]
    screen.say()
    if open_:
        screen.say(f"{counted(len(open_), 'entry', 'entries')} to see to.")
    else:
        screen.say("All that is needed is published.", "green")


def show_zone(screen: Screen, entries: Sequence[Entry]) -> None:
    """A zone file to be pasted: what has to stand there in the end."""
    for entry in entries:
        remark = " (optional)" if entry.optional else ""
        remark += " (in the zone of the provider of the address)" if entry.elsewhere else ""
        screen.say(visible(f"; {entry.what}{remark}"))
        # What is not yours to publish, or needs more than a record, is there to be seen.
        mute = "; " if entry.elsewhere or (entry.optional and not entry.kept) else ""
        for value in entry.wanted:
            screen.say(visible(f"{mute}{line(entry.name, entry.kind, value)}"))
        if not entry.wanted:
            screen.say(visible(f"; {entry.name}. {entry.kind}: {entry.note}"))
