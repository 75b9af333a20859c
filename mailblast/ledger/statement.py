"""How the statements are run that run many times a second.

The library writes a statement once; that it also prepares the values of each row, one by one,
would take longer than the database does.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Insert, Row, Select, Update

MOST_BOUND = 30_000  # values of one statement; SQLite takes 32,766


def execute_all(
    connection: Connection, statement: Insert | Update, rows: Sequence[dict[str, Any]]
) -> int:
    """Run a statement for rows that all have the same fields; how many it touched."""
    sql, in_order, _ = _written(statement, connection.dialect, tuple(rows[0]))
    return connection.exec_driver_sql(sql, list(map(in_order, rows))).rowcount


def insert_all(
    connection: Connection, statement: Insert, rows: Sequence[dict[str, Any]]
) -> None:
    """Insert rows that all have the same fields, by one statement for many."""
    sql, in_order, _ = _written(statement, connection.dialect, tuple(rows[0]))
    head, _, one = sql.partition(" VALUES ")
    most = MOST_BOUND // len(rows[0])
    for start in range(0, len(rows), most):
        some = rows[start : start + most]
        bound = tuple([value for row in some for value in in_order(row)])
        connection.exec_driver_sql(f"{head} VALUES {', '.join([one] * len(some))}", bound)


def fetch(
    connection: Connection, statement: Select[Any], values: dict[str, Any]
) -> Sequence[Row[Any]]:
    """All rows of a query."""
    sql, in_order, own = _written(statement, connection.dialect, tuple(values))
    return connection.exec_driver_sql(sql, in_order({**own, **values})).all()


def count(
    connection: Connection, statement: Select[*tuple[Any, ...]], values: Mapping[str, Any]
) -> Counter[tuple[Any, ...]]:
    """How often each row of a query occurs.

    Not by GROUP BY: where no index has the order, SQLite sorts for it, with all in memory.
    """
    streamed = connection.execution_options(yield_per=10_000)
    return Counter(map(tuple, streamed.execute(statement, values)))


@lru_cache(maxsize=32)
def _written(
    statement: Insert | Update | Select[Any], dialect: Dialect, names: tuple[str, ...]
) -> tuple[str, Callable[[dict[str, Any]], tuple[Any, ...]], dict[str, Any]]:
    """The statement as text, how its values are ordered, and those it brings itself."""
    columns = list(names) if isinstance(statement, Insert) else None
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    own = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), itemgetter(*(compiled.positiontup or ())), own
