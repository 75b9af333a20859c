"""Asking many at once, within a time that is bounded."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from mailblast.errors import Refusal

Asking = Coroutine[Any, Any, object]


async def within(
    seconds: float, who: str, askings: Mapping[type, Asking]
) -> dict[type, object]:
    """What comes of each; a Refusal for what is late, which says that `who` did not answer."""
    tasks = [asyncio.create_task(one) for one in askings.values()]
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)
    # Those that are late end here; nobody is kept waiting who is not asked.
    for task in tasks:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    late = Refusal(f"{who} did not answer within {seconds:g} seconds")
    return {kind: _come(one, late) for kind, one in zip(askings, found, strict=True)}


def _come(found: object, late: Refusal) -> object:
    if isinstance(found, asyncio.CancelledError):
        return late
    if isinstance(found, BaseException):
        raise found
    return found
