"""TinyDB as a ledger, against SQLite as mailblast uses it: updates of one row a second.

    python tests/bench/stores.py [DIRECTORY]

DIRECTORY is where the files are written (default: a temporary one); its disk decides.  What
is measured is the one thing that a ledger does all day: a row's state changes, durably.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    create_engine,
    insert,
    update,
)
from sqlalchemy import event as events
from sqlalchemy.pool import StaticPool
from tinydb import TinyDB

SECONDS = 2.0  # a measurement lasts at least so long, and one update
TIMES = 3  # the best of so many counts: the others shared the machine
ROWS = 20_000

deliveries = Table(
    "deliveries",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("mailbox", Text),
    Column("disposition", Text),
)


def document(number: int) -> dict[str, object]:
    return {"id": number, "mailbox": f"user{number}@example.com", "disposition": "queued"}


def rate(step: Callable[[int], int]) -> float:
    """Updates a second, wall clock; `step` does some and says how many."""
    return max(_once(step) for _ in range(TIMES))


def _once(step: Callable[[int], int]) -> float:
    done, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < SECONDS:
        done += step(done)
    return done / passed


def tinydb(path: Path, rows: int) -> float:
    book = TinyDB(path)
    book.insert_multiple(document(number) for number in range(1, rows + 1))

    def step(done: int) -> int:
        # By its number: the cheapest way to find a document.
        book.update({"disposition": "accepted"}, doc_ids=[done % rows + 1])
        return 1

    return rate(step)


def sqlite(path: Path, batch: int) -> float:
    engine = create_engine(f"sqlite:///{path}", poolclass=StaticPool)
    events.listen(engine, "connect", _prepare)
    events.listen(engine, "begin", lambda one: one.exec_driver_sql("BEGIN IMMEDIATE"))
    deliveries.metadata.create_all(engine)
    with engine.begin() as connection:
        rows = [document(number) for number in range(1, ROWS + 1)]
        connection.execute(insert(deliveries), rows)
    change = update(deliveries).where(deliveries.c.id == bindparam("it"))
    change = change.values(disposition=bindparam("now"))

    def step(done: int) -> int:
        values = [{"it": (done + n) % ROWS + 1, "now": "accepted"} for n in range(batch)]
        with engine.begin() as connection:
            connection.execute(change, values)
        return batch

    try:
        return rate(step)
    finally:
        engine.dispose()


def _prepare(connection: object, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def main(directory: Path) -> None:
    for rows in (1_000, 5_000, 20_000):
        found = tinydb(directory / f"{rows}.json", rows)
        print(f"TinyDB, {rows:>6,} documents              {found:>12,.0f} updates a second")
    for batch in (1, 10, 100):
        found = sqlite(directory / f"{batch}.db", batch)
        print(
            f"SQLite, {ROWS:>6,} rows, {batch:>3} a commit    {found:>12,.0f} updates a second"
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as place:
            main(Path(place))
