"""How many, in words."""


def number(count: int) -> str:
    """A count with its thousands parted."""
    return f"{count:,}"


def counted(count: int, one: str, many: str = "") -> str:
    """A count with its noun: `1 row`, `2,000 rows`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"
