"""The queue that brings batches to workers: Procrastinate, in the ledger's own database. The only place that imports it.

A batch has one job, for as long as anything of it is left to try. A job holds the batch's number and nothing else. It ends well
when nothing is left; until then it comes back (`retry=`), at the time that the ledger says. Whatever goes wrong with it,
the ledger's reconciler gives the batch a new one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Self

import procrastinate
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import DeleteJobCondition, Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.worker import Worker
from psycopg import AsyncConnection, Error
from psycopg.errors import RaiseException
from psycopg.rows import tuple_row

from mailer.cluster.rhythm import Rhythm
from mailer.errors import LedgerError
from mailer.ledger.postgres.batches import Job as Wanted
from mailer.ledger.postgres.shared import QueueTables, Shared, Step

TASK = "run_batch"

AT_ONCE = 1000
"""Jobs that are given to the queue in one statement."""

LONG_AGO = datetime.fromtimestamp(0, UTC)
"""At once, whatever this computer's clock says."""

LIVE = "SELECT CAST(args ->> 'batch' AS bigint) FROM procrastinate_jobs WHERE task_name = %s AND status IN ('todo', 'doing')"

WITHDRAW = "DELETE FROM procrastinate_jobs WHERE task_name = %s AND queueing_lock = ANY(%s) AND status = 'todo'"


class Again(Exception):
    """A batch is to be run again, not before `at` (Unix time)."""

    def __init__(self, at: float) -> None:
        super().__init__("to be run again")
        self.at = at


class _ComesBack(BaseRetryStrategy):
    """A job never fails for good: what is left of its batch is tried again."""

    def __init__(self, pause: float) -> None:
        self._pause = pause

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:  # noqa: ARG002 - as it is called
        at = exception.at if isinstance(exception, Again) else time.time() + self._pause
        return RetryDecision(retry_at=datetime.fromtimestamp(at, UTC))


class _Lent:
    """The ledger's connection, as Procrastinate asks for one."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def cursor(self, *, row_factory: Any) -> Any:
        return self._shared.lend(row_factory)


class Jobs:
    """The jobs of batches, written in the ledger's own transactions."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._app = procrastinate.App(connector=procrastinate.PsycopgConnector())

    def prepare(self) -> None:
        """Make the queue's tables, or bring them up to date. Raises LedgerError."""
        self._shared.prepare(TABLES)

    def live(self) -> set[int]:
        """The batches that have a job which waits or is being done."""
        with self._shared.lend(tuple_row) as cursor:
            return {row[0] for row in cursor.execute(LIVE, (TASK,))}

    def withdraw(self, batches: Collection[int]) -> None:
        """Take back the jobs of these batches that nobody has begun. One at a time, a campaign's would take a minute."""
        if batches:
            with self._shared.lend(tuple_row) as cursor:
                cursor.execute(WITHDRAW, (TASK, [f"batch {number}" for number in batches]))

    def defer(self, wanted: Sequence[Wanted]) -> None:
        """Give each of them a job; none has one that is alive. Raises psycopg.Error."""
        task = self._app.configure_task(TASK, allow_unknown=True)
        for first in range(0, len(wanted), AT_ONCE):
            jobs = [
                task.job.evolve(
                    task_kwargs={"batch": one.batch},
                    queueing_lock=f"batch {one.batch}",
                    queue=one.queue,
                    scheduled_at=datetime.fromtimestamp(one.at, UTC),
                )
                for one in wanted[first : first + AT_ONCE]
            ]
            with _as_the_driver_says_it():
                self._app.job_manager.batch_defer_jobs(jobs, connection=_Lent(self._shared))


@contextmanager
def _as_the_driver_says_it() -> Iterator[None]:
    try:
        yield
    except ConnectorException as error:
        if isinstance(error.__cause__, Error):
            raise error.__cause__ from None
        raise


class Engine:
    """The queue as a worker uses it: it calls `run_batch` with the number of a batch, as often at once as it has lines."""

    def __init__(
        self,
        address: str,
        run_batch: Callable[[int, int], Awaitable[None]],
        *,
        lines: int,
        queues: Sequence[str],
        rhythm: Rhythm,
    ) -> None:
        self._rhythm = rhythm
        self._lines = lines
        self._queues = list(queues)
        connector = procrastinate.PsycopgConnector(
            conninfo=address,
            min_size=1,
            max_size=min(4, lines + 2),
            timeout=rhythm.patience,
            reconnect_timeout=5.0,
            configure=_hold_up_nobody,
        )
        self._app = procrastinate.App(connector=connector)

        @self._app.task(name=TASK, pass_context=True, retry=_ComesBack(rhythm.pause))
        async def task(context: procrastinate.JobContext, batch: int) -> None:
            await run_batch(batch, context.job.worker_id or 0)

    async def __aenter__(self) -> Self:
        try:
            await self._app.open_async()
        except (ConnectorException, Error) as error:
            raise _lost() from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._app.close_async()

    async def work(self) -> None:
        """Fetch jobs until it is cancelled; those under way are waited for then. Raises LedgerError."""
        rhythm = self._rhythm
        worker = Worker(
            app=self._app,
            queues=self._queues,
            concurrency=self._lines,
            fetch_job_polling_interval=rhythm.polling,
            update_heartbeat_interval=rhythm.heartbeat,
            stalled_worker_timeout=rhythm.stalled,
            # what a batch came to stands in the ledger
            delete_jobs=DeleteJobCondition.ALWAYS,
            install_signal_handlers=False,
        )
        running = asyncio.ensure_future(worker.run())  # type: ignore[no-untyped-call]
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            # asked, not cancelled: while it registers with the database a cancellation can be lost, and it would never end
            worker.stop()  # type: ignore[no-untyped-call]
            with suppress(ConnectorException, Error):
                await running
            raise
        except (ConnectorException, Error) as error:
            raise _lost() from error
        # it ends by itself where it cannot listen any more
        raise _lost()

    async def free(self, engines: Sequence[int]) -> None:
        """Give the jobs of dead workers, and of those who have not been heard of for long, to others. Raises LedgerError."""
        jobs = self._app.job_manager
        try:
            for number in engines:
                await jobs.unregister_worker(number)
            for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=self._rhythm.stalled):
                if job.id is not None:
                    await self._give_away(job.id)
        except (ConnectorException, Error) as error:
            raise _lost() from error

    async def _give_away(self, job: int) -> None:
        try:
            await self._app.job_manager.retry_job_by_id_async(job, retry_at=LONG_AGO)
        except ConnectorException as error:
            # another worker was quicker, or it has ended: the queue says so with an exception of its own
            if not isinstance(error.__cause__, RaiseException):
                raise


async def _hold_up_nobody(connection: AsyncConnection[Any]) -> None:
    """Each statement is a transaction of its own: a worker that stands still must not keep a job's row from those who give the job away."""
    await connection.set_autocommit(True)


def _lost() -> LedgerError:
    return LedgerError(
        "The queue of workers in the ledger on PostgreSQL was lost.", hint="the worker tries again by itself"
    )


def be_quiet() -> None:
    """Keep the libraries' own words off the screen: what matters of them is said in ours."""
    for name in ("procrastinate", "psycopg", "psycopg.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _steps() -> list[Step]:
    found = files("procrastinate.sql").joinpath("migrations")
    names = sorted(path.name for path in found.iterdir() if path.name.endswith(".sql"))
    return [Step(name, lambda name=name: found.joinpath(name).read_text(encoding="utf-8")) for name in names]  # type: ignore[misc]


TABLES = QueueTables("procrastinate_jobs", procrastinate.schema.SchemaManager.get_schema, _steps())
