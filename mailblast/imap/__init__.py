"""A folder on an IMAP server, as a source of mail that came back.

Rule: a mail is moved only after what it says is durable in the ledger.  So whatever breaks,
and wherever, the next import finds in the folder all that was not taken in, and perhaps some
that was: those the ledger knows.

Moved is what was made use of; the rest stays where it is, for people.  So that this is not
fetched again each time, the run book has the UID up to which the folder was read, and the
UIDVALIDITY in which it counts (RFC 3501 §2.3.1.1).  A flag on the server would tell other
workspaces that read the same folder that there is nothing for them.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any, ParamSpec, TypeVar

from mailblast.errors import Refusal, UserError
from mailblast.imap import wire
from mailblast.imap.address import Address, is_address, on_the_wire, parse
from mailblast.imap.wire import Login, Session
from mailblast.ledger import Ledger
from mailblast.mailbox.mail import MAX_MESSAGE, Mail, too_large
from mailblast.runbook import RunBook

__all__ = ["Address", "Folder", "Login", "is_address", "parse"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

KIND = "folders"  # of the run book's documents

BATCH = 100  # messages that are fetched, and moved, by one command,
BATCH_OCTETS = 1024 * 1024  # unless they are larger than this, which memory is to hold
WINDOW = 10_000  # messages that are searched at a time: a line has an end
MAX_MAILS = 10_000_000

_UID = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,19})\b")


class Folder:
    """The mails of a folder; use it as a context manager, whose end moves the last ones.

    With a ledger only those come that were not read before, and `move_to` may name a folder
    to move to.  Without one it is a look: all come, and nothing is changed.
    Raises UserError when the server is not there, or does not go on; Refused when another
    import reads this folder into this ledger.
    """

    unit = "mails"

    def __init__(
        self,
        address: Address,
        login: Login,
        ledger: Ledger | None = None,
        move_to: str = "",
    ) -> None:
        self.source = str(address)
        self.total: int | None = None
        self.done = 0
        self._address, self._login = address, login
        self._ledger, self._move_to = ledger, move_to
        self._book = RunBook(ledger.directory, ledger.patience) if ledger else None
        self._locked = ExitStack()
        self._session: Session | None = None
        self._exists = self._validity = 0
        self._unsettled: dict[int, tuple[Mail | Refusal, int]] = {}
        self._to_move: list[int] = []
        self._last = self._latest = (
            0  # UIDs: all up to it are settled; the latest that came
        )

    def __enter__(self) -> "Folder":
        # To most servers a move is a copy: of two at once each would make one.
        if self._ledger is not None:
            self._locked.enter_context(self._ledger.lock(self.source, "bounces import"))
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        session, self._session = self._session, None
        with self._locked:
            if session is None:
                return
            with closing(session):
                if failure is None:
                    self._telling(self._end, session)

    def _end(self, session: Session) -> None:
        self._move(session)
        session.ask("logout")

    def __iter__(self) -> Iterator[Mail | Refusal]:
        session = self._telling(wire.opened, self._address, self._login)
        self._session = session
        self._telling(self._select, session)
        uids = self._telling(self._unread, session)
        self.total = len(uids)
        for start in range(0, len(uids), BATCH):
            yield from self._batch(session, uids[start : start + BATCH])

    def settled(self, mail: Mail | Refusal, *, used: bool) -> None:
        """This mail is durable: it may be moved, if use was made of it.

        They need not be settled in the order in which they came.
        """
        _, uid = self._unsettled.pop(id(mail))
        if used and self._move_to:
            self._to_move.append(uid)
        first = next(iter(self._unsettled.values()), None)
        self._last = self._latest if first is None else first[1] - 1

    def _telling(self, act: Callable[_P, _T], *words: _P.args, **more: _P.kwargs) -> _T:
        return wire.telling(self._address, self._login, act, *words, **more)

    def _select(self, session: Session) -> None:
        folder, readonly = on_the_wire(self._address.folder), not self._move_to
        done, data = session.ask("select", folder, readonly)
        if not done:
            said = session.text(data)
            raise UserError(f"{self.source}: the folder cannot be opened: {said}")
        self._exists = int(session.told("EXISTS") or 0)
        self._validity = int(session.told("UIDVALIDITY") or 0)
        if self._exists > MAX_MAILS:
            raise UserError(f"{self.source}: more than {MAX_MAILS:,} mails in one folder")

    # What is to be read

    def _unread(self, session: Session) -> "array[int]":
        """The UIDs of what was not read before, four octets each."""
        self._last = since = self._read_before()
        uids = array("I")
        for low in range(1, self._exists + 1, WINDOW):
            high = min(low + WINDOW - 1, self._exists)
            words = ("SEARCH", f"{low}:{high}", "UNDELETED", "UID", f"{since + 1}:*")
            _, data = session.ask("uid", *words)
            found = b" ".join(one for one in data if isinstance(one, bytes)).split()
            # `*` is the last mail, whatever its UID (RFC 3501 §6.4.8).
            uids.extend(uid for uid in map(int, found) if since < uid < 2**32)
        return array("I", sorted(set(uids)))

    def _read_before(self) -> int:
        """The UID up to which the folder was read, in the way in which it is read now."""
        known = self._book.get(KIND, self.source) if self._book else None
        if not known or not self._validity or known.get("uidvalidity") != self._validity:
            return 0
        # Who wants mail moved now wants it of what was read before as well.
        last = known.get("last")
        same = not self._move_to or known.get("moved_to") == self._move_to
        return last if same and isinstance(last, int) else 0

    # Fetching

    def _batch(self, session: Session, uids: Sequence[int]) -> Iterator[Mail | Refusal]:
        sizes = self._telling(self._sizes, session, uids)
        some: list[int] = []
        for uid in uids:
            size = sizes.get(uid)
            if size is None:  # gone meanwhile
                self.done += 1
                continue
            if some and sum(sizes[one] for one in some) + size > BATCH_OCTETS:
                yield from self._fetched(session, some, sizes)
                some = []
            some.append(uid)
        yield from self._fetched(session, some, sizes)
        self._telling(self._move, session)

    def _sizes(self, session: Session, uids: Sequence[int]) -> dict[int, int]:
        _, data = session.ask("uid", "FETCH", _set(uids), "(UID RFC822.SIZE)")
        sizes = {}
        for one in data:
            uid, size = (_number(pattern, one) for pattern in (_UID, _SIZE))
            if uid is not None and uid in uids and size is not None:
                sizes[uid] = size
        return sizes

    def _fetched(
        self, session: Session, uids: list[int], sizes: dict[int, int]
    ) -> Iterator[Mail | Refusal]:
        small = [uid for uid in uids if sizes[uid] <= MAX_MESSAGE]
        contents = self._telling(self._contents, session, small, sizes)
        for uid in uids:
            self.done += 1
            source = f"{self.source}/;UID={uid}"
            mail: Mail | Refusal
            content = contents.pop(uid, b"") if sizes[uid] <= MAX_MESSAGE else None
            if content == b"":
                continue  # gone meanwhile, or nothing ever was in it
            if isinstance(content, Refusal):
                mail = Refusal(f"{source}: {content}")
            elif content is None or len(content) > MAX_MESSAGE:
                mail = too_large(source)
            else:
                mail = Mail(source, content)
            if self._book is not None:
                self._unsettled[id(mail)], self._latest = (mail, uid), uid
            yield mail

    def _contents(
        self, session: Session, uids: list[int], sizes: dict[int, int]
    ) -> dict[int, bytes | Refusal]:
        """The messages that are still there, with the line ends that they have in a Maildir."""
        if not uids:
            return {}
        # A size may be wrong (some servers guess it): no more than the most is taken.
        words = ("FETCH", _set(uids), f"(UID BODY.PEEK[]<0.{MAX_MESSAGE + 1}>)")
        bounds = {
            "octets": MAX_MESSAGE + BATCH_OCTETS,
            "expected": sum(sizes[uid] for uid in uids),
        }
        done, data = session.ask("uid", *words, **bounds)
        if done:
            return dict(_bodies(data, uids))
        if len(uids) == 1:
            return {uids[0]: Refusal(f"the server does not give it: {session.text(data)}")}
        # One message that the server cannot give must not take the others with it.
        one_by_one = (self._contents(session, [uid], sizes) for uid in uids)
        return dict(pair for found in one_by_one for pair in found.items())

    # Moving

    def _move(self, session: Session) -> None:
        """Move what is settled, and remember how far that was."""
        for start in range(0, len(self._to_move), BATCH):
            self._moved(session, _set(self._to_move[start : start + BATCH]))
        self._to_move.clear()
        if self._book is not None and self._validity and self._last:
            document = {"uidvalidity": self._validity, "last": self._last}
            self._book.put(KIND, self.source, {**document, "moved_to": self._move_to})

    def _moved(self, session: Session, uids: str) -> None:
        """Move these mails: MOVE (RFC 6851), or what comes near it.

        Never a plain EXPUNGE: it would remove what others have marked as deleted.  So
        without UIDPLUS (RFC 4315) the mails stay, marked as deleted.
        """
        target = on_the_wire(self._move_to)
        way = "MOVE" if "MOVE" in session.capabilities else "COPY"
        done, data = session.ask("uid", way, uids, target)
        if not done and "TRYCREATE" in session.text(data).upper():
            session.ask("create", target)
            done, data = session.ask("uid", way, uids, target)
        if done and way == "COPY":
            done, data = session.ask("uid", "STORE", uids, "+FLAGS.SILENT", r"(\Deleted)")
            if done and "UIDPLUS" in session.capabilities:
                done, data = session.ask("uid", "EXPUNGE", uids)
        if not done:
            raise UserError(
                f"{self.source}: nothing can be moved to {self._move_to}: {session.text(data)}",
                "the mails are recorded; the next import moves them",
            )


def _set(uids: Iterable[int]) -> str:
    return ",".join(map(str, uids))


def _bodies(data: list[Any], uids: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """The messages in the answer to a FETCH: a literal, or what stands for an empty one."""
    for one, after in zip(data, [*data[1:], b""], strict=True):
        head, content = one if isinstance(one, tuple) else (one, b"")
        uid = _number(_UID, head) or _number(_UID, after)
        if b"BODY[]" in head.upper() and uid is not None and uid in uids:
            yield uid, content.replace(b"\r\n", b"\n")


def _number(pattern: re.Pattern[bytes], item: Any) -> int | None:
    found = pattern.search(item) if isinstance(item, bytes) else None
    return int(found[1]) if found else None
