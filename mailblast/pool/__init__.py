"""Who composes: worker processes, one a core, or this process for a small run.

Composing and signing are pure functions, so the only thing to share is what they are built
from (`Workbench`).  A batch of recipients goes to a worker, and the signed bytes come back.
"""

from collections.abc import Sequence

from mailblast.compose import Message
from mailblast.due import Due
from mailblast.errors import Refusal
from mailblast.pool.workbench import Workbench, check, compose
from mailblast.pool.worker import Worker

__all__ = ["SMALL", "Pool", "Workbench"]

# A worker takes about half a second to start and its 50 MB; below this it does not pay.
SMALL = 500


class Pool:
    """Composes batches, here or in worker processes."""

    def __init__(self, workbench: Workbench, workers: int) -> None:
        """`workers` is the number of processes; 0 composes in this one."""
        self._here = workbench.composer()  # also: the template's faults show at once
        self._workers = [Worker(workbench) for _ in range(workers)]

    async def compose(self, batch: Sequence[Due]) -> list[Message | Refusal]:
        """The messages of a batch, in its order; a row that cannot be mailed is a Refusal.

        Raises TemplateError when the template is at fault.
        """
        if not self._workers:
            return compose(self._here, batch)
        made: list[Message | Refusal] = await self._idlest().do("compose", batch)
        return made

    async def check(self, batch: Sequence[Due]) -> list[Refusal | None]:
        """Render each row and write its message, but sign nothing: what would go wrong?

        Raises TemplateError when the template is at fault.
        """
        if not self._workers:
            return check(self._here, batch)
        found: list[Refusal | None] = await self._idlest().do("check", batch)
        return found

    def _idlest(self) -> Worker:
        return min(self._workers, key=lambda worker: worker.busy)

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.close()
