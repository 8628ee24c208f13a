"""The supervisor of serving processes: it starts, watches, replaces and ends them.

It accepts no request itself but those for metrics. Sockets are bound once and stay open while
processes come and go: what connects meanwhile waits, or is taken by the others, and is not refused.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence

from server.listeners import serve_private
from server.processes.place import STABLE_SECONDS, Place
from server.processes.serving_process import Report, ServingProcess, start_process
from server.serving import LEAVE_SECONDS
from server.signals import STOP_SECONDS
from services.settings.settings import Settings
from services.telemetry import metrics
from services.telemetry.logs import get_logger
from services.telemetry.metric_sums import MetricSums

_SLACK_SECONDS = 2.0
_MAX_EARLY_ENDS = 5  # of each place
log = get_logger("processes")


class Supervisor:
    """Processes for each of the listening sockets, until it is stopped.

    Args:
        listening: one for each place.
        metrics_socket: where it answers /metrics, /ready and /health itself.
        facts: what the line `server_started` says.
    """

    def __init__(
        self,
        settings: Settings,
        listening: Sequence[socket.socket],
        metrics_socket: socket.socket | None,
        facts: dict[str, object],
    ) -> None:
        self._settings = settings
        self._listening = listening
        self._metrics_socket = metrics_socket
        self._facts = facts
        self._sums = MetricSums("supervisor")
        self._running: set[ServingProcess] = set()
        self._ends: set[asyncio.Task[None]] = set()
        self._places = [
            Place(number + 1, self._start, self._record_end, LEAVE_SECONDS + STOP_SECONDS)
            for number in range(len(listening))
        ]
        self._absent: frozenset[int] = frozenset()
        self._is_first_ready = asyncio.Event()
        self._early_ends = 0
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._failed = False

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit status."""
        self._listen_to_signals()
        tasks = [
            asyncio.create_task(self._run_places()),
            asyncio.create_task(self._run_reloads()),
            asyncio.create_task(self._watch()),
        ]
        stop_metrics = asyncio.Event()
        serving_metrics = asyncio.create_task(
            serve_private(
                self._settings, self._metrics_socket, stop_metrics, self.report, self.read_metrics
            )
        )
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([stopping, serving_metrics, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self._stop.set()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        is_clean = await self._end_all()
        stop_metrics.set()
        await serving_metrics
        for error in results:
            if isinstance(error, Exception):
                raise error
        return 0 if is_clean and not self._failed else 1

    # ---- what it tells

    async def read_metrics(self) -> bytes:
        """Return the metrics of all processes."""
        return self._render_metrics()

    def _render_metrics(self) -> bytes:
        text = self._sums.render()
        for process in self._running:
            if process.source.table.is_full:
                log.error("metrics_left_out", process=process.place, pid=process.pid)
        return text

    async def report(self, shows_causes: bool) -> Report:
        """Return status code and body of /ready: of each process, and whether any is ready."""
        current = [place.current for place in self._places if place.current is not None]
        reports = await asyncio.gather(*(one.report(shows_causes) for one in current))
        processes = [
            {"process": one.place, "pid": one.pid, **(report[1] if report else _NO_REPORT)}
            for one, report in zip(current, reports, strict=True)
        ]
        is_any = any(report and report[0] == 200 for report in reports)
        return (200 if is_any else 503), {"status": self._status(processes), "processes": processes}

    def _status(self, processes: list[dict[str, object]]) -> str:
        if self._stop.is_set():
            return "draining"
        statuses = {str(one["status"]) for one in processes}
        if statuses == {"healthy"} and len(processes) == len(self._places):
            return "healthy"
        return "degraded" if statuses & {"healthy", "degraded"} else "unhealthy"

    # ---- processes

    async def _start(self, place: int) -> ServingProcess:
        process = await start_process(place, self._listening, self._render_metrics, self._on_change)
        self._running.add(process)
        self._sums.add(process.source)
        end = asyncio.create_task(self._forget_at_end(process))
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)
        log.info("process_started", process=place, pid=process.pid)
        return process

    async def _forget_at_end(self, process: ServingProcess) -> None:
        status = await process.wait()
        self._running.discard(process)
        self._sums.remove(process.source)
        process.close()
        log.info("process_ended", process=process.place, pid=process.pid, status=status)
        self._on_change()

    def _on_change(self) -> None:
        """Let the others take the connections of places that nobody serves."""
        if any(place.is_served for place in self._places):
            self._is_first_ready.set()
        absent = frozenset(place.number for place in self._places if not place.is_served)
        self._absent = absent
        for place in self._places:
            if place.current is not None and place.is_served:
                place.current.cover(absent)

    def _record_end(self, process: ServingProcess | None) -> None:
        """Tell of an end that nobody wanted; give up where no process can serve."""
        if process is not None:
            why = "silent" if process.is_silent else "ended"
            metrics.serving_process_replacements_total.labels(why).inc()
            facts = {"process": process.place, "pid": process.pid, "status": process.status}
            log.error("process_lost", why=why, **facts)
        is_stable = process is not None and process.ready_seconds >= STABLE_SECONDS
        self._early_ends = 0 if is_stable else self._early_ends + 1
        status = process.status if process is not None else None
        cannot_start = (status or 0) > 0 and not self._is_first_ready.is_set()
        others = [one for one in self._running if one.ready_seconds >= STABLE_SECONDS]
        too_many = self._early_ends >= _MAX_EARLY_ENDS * len(self._places) and not others
        if cannot_start or too_many:
            log.error("processes_given_up", ends=self._early_ends)
            self._failed = True
            self._stop.set()

    async def _run_places(self) -> None:
        """Start one process alone: what keeps all from starting is told once."""
        first, *others = self._places
        running = [asyncio.create_task(first.run())]
        ready = asyncio.create_task(self._is_first_ready.wait())
        try:
            await asyncio.wait([ready, *running], return_when=asyncio.FIRST_COMPLETED)
            running += [asyncio.create_task(place.run()) for place in others]
            if self._is_first_ready.is_set():
                log.info("server_started", processes=len(self._places), **self._facts)
            await asyncio.gather(*running)
        finally:
            ready.cancel()
            for task in running:
                task.cancel()

    async def _run_reloads(self) -> None:
        """Replace all processes, one after another, each time that SIGHUP wants it."""
        while True:
            await self._reload.wait()
            self._reload.clear()
            log.info("reload_started")
            for place in self._places:
                if not await place.replace():
                    log.error("reload_failed", process=place.number)
                    break
            else:
                log.info("reload_finished")

    async def _watch(self) -> None:
        """Count each second of silence in which this process could have heard something."""
        while True:
            await asyncio.sleep(1)
            for process in list(self._running):
                process.count_second(self._settings.process_silence_seconds)
            if self._absent != {one.number for one in self._places if not one.is_served}:
                self._on_change()

    # ---- the end

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)

    def _on_stop_signal(self) -> None:
        """Stop; at the second signal, at once."""
        if self._stop.is_set():
            for process in self._running:
                process.kill()
        self._stop.set()

    async def _end_all(self) -> bool:
        """Let all drain, and kill who takes too long; return whether all ended well."""
        ending = list(self._running)
        for process in ending:
            process.terminate()
        for listening in self._listening:
            listening.close()
        seconds = self._settings.drain_delay_seconds + STOP_SECONDS + _SLACK_SECONDS
        waiting = [asyncio.create_task(process.wait()) for process in ending]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        for process in ending:
            if process.status is None:
                log.error("process_killed", process=process.place, pid=process.pid)
                process.kill()
        statuses = await asyncio.gather(*waiting)
        await asyncio.gather(*self._ends)
        return not any(statuses)


_NO_REPORT: dict[str, object] = {"status": "unresponsive"}
