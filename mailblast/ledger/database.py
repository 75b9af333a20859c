"""The file under the ledger: opening, transactions, and the errors of its library.

SQLite in WAL mode with `synchronous=FULL`: a transaction that has ended survives a power cut.
With less, an `attempted` could be lost, and a lost `attempted` is a second copy.  Every
writing transaction is `BEGIN IMMEDIATE`: a deferred one that reads first and writes later
fails under contention however long it may wait.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from mailblast.errors import LedgerError
from mailblast.ledger.tables import SCHEMA_VERSION, metadata, schema
from mailblast.secret import private_directory

# `unsubscribe add` and a bounce import write while a campaign goes out; each transaction takes
# milliseconds, so a wait of this length means that something holds the file for good.
BUSY_SECONDS = 60

PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "temp_store=MEMORY",  # else every statement that moves many rows makes a file and unlinks it
    "cache_size=-32000",  # kB; with the 2,000 it begins with, a long list is read again and again
)

# version -> statements that lead to the next one.  Tables that a version adds need none.
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE deliveries RENAME COLUMN destination TO domain",
        "DROP INDEX deliveries_due",
        """CREATE INDEX deliveries_due ON deliveries (run, domain, due)
           WHERE disposition IN ('queued', 'deferred') AND owner IS NULL""",
        "ALTER TABLE events ADD COLUMN tls TEXT NOT NULL DEFAULT ''",
    ),
    2: ("CREATE INDEX deliveries_run ON deliveries (run)",),
    3: (
        "ALTER TABLE returned ADD COLUMN kind TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE returned ADD COLUMN tied TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE returned ADD COLUMN delivery INTEGER",
        "ALTER TABLE returned ADD COLUMN text TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX ix_returned_delivery ON returned (delivery)",
    ),
    # What was recorded before counts for nothing: whether it spoke of the recipient is not
    # known any more.
    4: (
        "ALTER TABLE events ADD COLUMN against TEXT",
        "ALTER TABLE suppressions ADD COLUMN events TEXT NOT NULL DEFAULT '[]'",
    ),
}


class Database:
    """One ledger file.  Use `reading` and `writing`; errors come out as LedgerError."""

    def __init__(self, path: Path, patience: float = BUSY_SECONDS) -> None:
        self.path = path
        private_directory(path.parent)
        path.touch(mode=0o600)  # addresses and names: nobody else's business
        self._engine = _engine(path, patience)
        self._impatient = _engine(path, 0)
        with self.writing() as connection:
            _bring_up(connection, path)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads: it waits for nobody and nobody waits for it."""
        with _told(self.path), self._engine.connect() as connection:
            yield connection.execution_options(mailblast_reading=True)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is durable when the block ends, and undone if it raises."""
        with _told(self.path), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing_now(self) -> Iterator[Connection | None]:
        """The same, but None at once if somebody else is writing."""
        with _told(self.path), self._impatient.connect() as connection:
            try:
                connection.begin()
            except OperationalError as error:
                if "locked" not in str(error.orig):
                    raise
                yield None
                return
            yield connection
            connection.commit()

    def close(self) -> None:
        """Give the file back."""
        self._engine.dispose()
        self._impatient.dispose()


def _engine(path: Path, patience: float) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        connect_args={"timeout": patience, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the library's own BEGIN would be a deferred one
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    reading = connection.get_execution_options().get("mailblast_reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise LedgerError(f"{path}: {error.orig}", _advice(str(error.orig))) from error
    except (SQLAlchemyError, sqlite3.Error) as error:
        # The driver's own: from `bare`, and from opening what is no database.
        raise LedgerError(f"{path}: {error}", _advice(str(error))) from error


def _advice(what: str) -> str:
    if "locked" in what:
        return (
            "another program holds the ledger; end it, or run this again when it has ended"
        )
    if "full" in what or "disk I/O" in what:
        return "make room on the disk, then run the same command again: nothing is lost"
    if "not a database" in what or "malformed" in what:
        return (
            "put a copy of it back from a backup; without it mailblast knows nobody whom it "
            "has mailed, and nobody who asked for no more mail"
        )
    return ""


def _bring_up(connection: Connection, path: Path) -> None:
    if not inspect(connection).has_table("schema"):
        metadata.create_all(connection)
        connection.execute(insert(schema).values(version=SCHEMA_VERSION))
        return
    version = connection.execute(select(schema.c.version)).scalar_one()
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"{path}: written by a newer mailblast (schema {version}, this one knows "
            f"{SCHEMA_VERSION})",
            "upgrade mailblast; the ledger was not touched",
        )
    for step in range(version, SCHEMA_VERSION):
        for statement in MIGRATIONS[step]:
            connection.exec_driver_sql(statement)
    if version < SCHEMA_VERSION:
        metadata.create_all(connection)
        connection.execute(schema.update().values(version=SCHEMA_VERSION))
