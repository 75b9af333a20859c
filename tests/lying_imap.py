"""An IMAP server that does what it is told, above all what it should not.

    with LyingImap({1: b"Subject: x\\r\\n\\r\\n"}, {"FETCH": several}) as server:
        …                                   server.port, .commands, .record, .moved

It knows one folder, in which the messages lie by their UIDs.  A script says what to do at a
step: `connect CAPABILITY STARTTLS AUTHENTICATE LOGIN SELECT SEARCH SIZES FETCH MOVE LOGOUT`.
What it does not name is done properly.  To do is: octets, in which TAG is the command's; or
a function that is called with the connection and the tag.  None closes the connection.
"""

import re
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

CAPABILITIES = b"IMAP4rev1 AUTH=PLAIN MOVE UIDPLUS"


class LyingImap:
    """The server, in a thread; `messages` are those that are left."""

    def __init__(
        self,
        messages: Mapping[int, bytes] | None = None,
        script: Mapping[str, Any] | None = None,
    ) -> None:
        self.messages = dict(messages or {})
        self.script: dict[str, Any] = dict(script or {})
        self.commands: list[str] = []
        self.record = bytearray()
        self.moved: dict[int, bytes] = {}
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []

    def __enter__(self) -> "LyingImap":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        for one in self._open:
            one.close()

    def url(self, folder: str = "INBOX") -> str:
        """The address of its folder."""
        return f"imap://anna@127.0.0.1:{self.port}/{folder}"

    def _serve(self) -> None:
        while True:
            try:
                wire, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(wire)
            threading.Thread(target=self._session, args=(wire,), daemon=True).start()

    def _session(self, wire: socket.socket) -> None:
        with wire, wire.makefile("rb") as lines:
            try:
                self._step(wire, "connect", b"*", b"* OK ready\r\n")
                for line in lines:
                    self.record += line
                    tag, _, rest = line.rstrip(b"\r\n").partition(b" ")
                    self._command(wire, lines, tag, rest)
            except (OSError, ValueError):  # the client has gone, or a step closed the wire
                return

    def _step(self, wire: socket.socket, step: str, tag: bytes, properly: bytes) -> None:
        self.commands.append(step)
        action = self.script.get(step, properly)
        if action is None:
            wire.shutdown(socket.SHUT_RDWR)
        elif isinstance(action, bytes):
            wire.sendall(action.replace(b"TAG", tag))
        else:
            action(wire, tag)

    def _command(self, wire: socket.socket, lines: Any, tag: bytes, rest: bytes) -> None:
        word = rest.split(b" ")[0].upper()
        if word == b"UID":
            word, _, rest = rest[4:].partition(b" ")
        step, properly = self._proper(word.upper().decode(), rest, tag)
        self._step(wire, step, tag, properly)
        if step == "AUTHENTICATE" and step not in self.script:
            self.record += lines.readline()
            wire.sendall(tag + b" OK welcome\r\n")

    def _proper(self, word: str, rest: bytes, tag: bytes) -> tuple[str, bytes]:
        ok = tag + b" OK done\r\n"
        match word:
            case "CAPABILITY":
                return word, b"* CAPABILITY %s\r\n%s" % (CAPABILITIES, ok)
            case "AUTHENTICATE":
                return word, b"+ \r\n"
            case "SELECT" | "EXAMINE":
                answer = b"* %d EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n" % len(self.messages)
                return "SELECT", answer + ok
            case "SEARCH":
                found = b" ".join(b"%d" % uid for uid in self.messages)
                return word, b"* SEARCH %s\r\n%s" % (found, ok)
            case "FETCH":
                return self._fetch(rest, ok)
            case "MOVE" if word not in self.script:
                for uid in self._uids(rest):
                    self.moved[uid] = self.messages.pop(uid)
                return word, ok
            case "LOGOUT":
                return word, b"* BYE\r\n" + ok
        return word, tag + b" OK whatever\r\n"

    def _uids(self, rest: bytes) -> list[int]:
        words = re.findall(rb"\d+", rest.split(b" ")[0] or rest.split(b" ")[1])
        return [uid for uid in map(int, words) if uid in self.messages]

    def _fetch(self, rest: bytes, ok: bytes) -> tuple[str, bytes]:
        answer = b""
        sizes = b"RFC822.SIZE" in rest
        for uid in self._uids(rest):
            content = self.messages[uid]
            if sizes:
                answer += b"* 1 FETCH (UID %d RFC822.SIZE %d)\r\n" % (uid, len(content))
            else:
                answer += b"* 1 FETCH (UID %d BODY[]<0> {%d}\r\n%s)\r\n" % (
                    uid,
                    len(content),
                    content,
                )
        return ("SIZES" if sizes else "FETCH"), answer + ok


Action = Callable[[socket.socket, bytes], None]


def endless(piece: bytes) -> Action:
    """The same again and again, as long as somebody takes it."""

    def act(wire: socket.socket, _: bytes) -> None:
        while True:
            wire.sendall(piece)

    return act


def drip(octet: bytes = b"x") -> Action:
    """One octet ten times a second."""

    def act(wire: socket.socket, _: bytes) -> None:
        over = threading.Event()
        while not over.wait(0.1):
            wire.sendall(octet)

    return act
