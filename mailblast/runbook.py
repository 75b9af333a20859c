"""The run book: the documents about runs that people like to open and read.

`.mailblast/runs.json`, one document a run, one an import and one a destination, written a few
times a run.  What became of each recipient is the ledger's; this file is small and can be
deleted.  TinyDB rewrites its file in place and knows no lock, so every change here is made on
a copy, under a file lock, and renamed over the old one.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import Any

from tinydb import TinyDB, where
from tinydb.storages import Storage

from mailblast.errors import LedgerError
from mailblast.secret import private_directory


class _Renamed(Storage):
    """A JSON file that is replaced whole, or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, dict[str, Any]] | None:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError):
            found = None
        if not _is_book(found):
            # Edited by hand and broken: kept for its owner, and begun anew.
            self._path.replace(_free(self._path.with_suffix(".broken.json")))
            return None
        return found or None

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        fresh = self._path.with_suffix(f".{os.getpid()}.tmp")
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        try:
            fresh.write_text(text, encoding="utf-8")
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        fresh.replace(self._path)


def _is_book(found: object) -> bool:
    """Whether this is what TinyDB writes: tables of numbered documents."""
    return isinstance(found, dict) and all(
        isinstance(table, dict)
        and all(
            number.isascii() and number.isdigit() and isinstance(document, dict)
            for number, document in table.items()
        )
        for table in found.values()
    )


def _free(path: Path) -> Path:
    """This path, or the next like it where nothing is yet."""
    others = (path.with_suffix(f".{n}{path.suffix}") for n in count(2))
    return next(one for one in chain([path], others) if not one.exists())


class RunBook:
    """The documents of a workspace; `patience` is how long to wait for others, in seconds."""

    def __init__(self, directory: Path, patience: float = 60.0) -> None:
        self._patience = patience
        self._path = private_directory(directory) / "runs.json"

    def put(self, kind: str, name: str, document: dict[str, Any]) -> None:
        """Add to the document of this kind and name, or begin it.

        A kind is a table: `runs`, `imports`, `destinations`, `exports`.
        """
        self.put_all(kind, {name: document})

    def put_all(self, kind: str, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """The same for several: each change writes the whole file."""
        with self._open() as book:
            table = book.table(kind)
            known = {one.get("name"): one.doc_id for one in table.all()}
            if mine := [known[name] for name in documents if name in known]:
                table.update(lambda one: one.update(documents[one["name"]]), doc_ids=mine)
            fresh = documents.keys() - known.keys()
            table.insert_multiple({"name": name, **documents[name]} for name in fresh)

    def change(
        self, kind: str, name: str, changed: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        """Put what `changed` makes of the document in its place, or of {} if there is none.

        Nobody else changes it in between.
        """
        with self._open() as book:
            found = book.table(kind).get(where("name") == name)
            document = changed(dict(found) if isinstance(found, dict) else {})
            book.table(kind).upsert({"name": name, **document}, where("name") == name)

    def keep(self, kind: str, most: int) -> None:
        """Leave of the documents of this kind only the latest."""
        with self._open() as book:
            numbers = sorted(one.doc_id for one in book.table(kind).all())
            if len(numbers) > most:
                book.table(kind).remove(doc_ids=numbers[:-most])

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The document of this kind and name."""
        with self._open() as book:
            found = book.table(kind).get(where("name") == name)
        return dict(found) if isinstance(found, dict) else None

    def all(self, kind: str) -> list[dict[str, Any]]:
        """The documents of this kind."""
        with self._open() as book:
            return [dict(one) for one in book.table(kind).all()]

    @contextmanager
    def _open(self) -> Iterator[TinyDB]:
        try:
            with self._locked():
                yield TinyDB(self._path, storage=_Renamed)
        except OSError as error:
            raise LedgerError(f"{self._path}: {error.strerror or error}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._seize(lock)
            yield
        finally:
            os.close(lock)

    def _seize(self, lock: int) -> None:
        """Take the lock; each holder has it for milliseconds, so waiting has an end."""
        until = time.monotonic() + self._patience
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.01)
