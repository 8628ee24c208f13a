"""What several processes count, on one page, also of those that were killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

from services.telemetry.metric_sums import CountedProcess, MetricSums
from services.telemetry.shared_values import (
    CAPACITY_BYTES,
    SampleKey,
    TableReader,
    TableWriter,
    create_table,
)
from tests.house.house import ROOT

SCRIPT = """
import os, signal, sys
from services.telemetry import metrics
from services.telemetry.shared_values import share_values
metrics.progress_flushed_total.inc(2)  # before it is shared
share_values(int(sys.argv[1]))
{work}
print("counted", flush=True)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""
Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Counting:
    """A process that has counted, and waits to be killed."""

    def __init__(self, name: str, work: str) -> None:
        table = create_table()
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT.format(work=work), str(table)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[table],
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"counted\n"
        self.source = CountedProcess(name, self._process.pid, TableReader(table))
        os.close(table)

    def kill(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(20) == -9
        self._process.stdout.close()


@contextmanager
def counting(name: str, work: str) -> Iterator[Counting]:
    process = Counting(name, work)
    try:
        yield process
    finally:
        process.kill()


def read_page(sums: MetricSums) -> Page:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(sums.render().decode())
        for sample in family.samples
    }


def changes(before: Page, after: Page, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {
        labels: value - before.get((sample, labels), 0.0)
        for (sample, labels), value in after.items()
        if sample == name and value != before.get((sample, labels), 0.0)
    }


def test_counters_are_summed_before_and_after_a_process_was_killed() -> None:
    # given two processes that counted, one of them a label set that is new
    sums = MetricSums("supervisor")
    before = read_page(sums)
    own = "metrics.mails_total.labels('sent').inc({})".format
    with counting("1", own(3)) as first, counting("2", own(4)) as second:
        sums.add(first.source)
        sums.add(second.source)
        # when the page is read, then it has both
        sent = (("outcome", "sent"),)
        assert changes(before, read_page(sums), "mails_total") == {sent: 7}
        assert changes(before, read_page(sums), "progress_flushed_total") == {(): 4}
    # and still once both were killed, and are counted no more
    assert changes(before, read_page(sums), "mails_total") == {sent: 7}
    sums.remove(first.source)
    sums.remove(second.source)
    assert changes(before, read_page(sums), "mails_total") == {sent: 7}
    assert changes(before, read_page(sums), "progress_flushed_total") == {(): 4}


def test_histograms_are_summed_by_bucket() -> None:
    # given durations that two processes saw
    sums = MetricSums("supervisor")
    before = read_page(sums)
    with (
        counting("1", "for s in (0.0005, 0.03, 20): metrics.database_seconds.observe(s)") as first,
        counting("2", "metrics.database_seconds.observe(0.03)") as second,
    ):
        sums.add(first.source)
        sums.add(second.source)
        page = read_page(sums)
    # then each bucket has what is below its bound
    buckets = {
        dict(labels)["le"]: count
        for labels, count in changes(before, page, "database_seconds_bucket").items()
    }
    assert buckets["0.001"] == buckets["0.025"] == 1
    assert buckets["0.05"] == buckets["10.0"] == 3
    assert buckets["+Inf"] == 4
    assert changes(before, page, "database_seconds_count") == {(): 4}
    (total,) = changes(before, page, "database_seconds_sum").values()
    assert abs(total - 20.0605) < 1e-9


def test_gauges_are_those_of_running_processes_summed_or_the_greatest() -> None:
    sums = MetricSums("supervisor")
    before = read_page(sums)
    work = "metrics.active_streams.set({}); metrics.purges_oldest_seconds.set({})".format
    with counting("1", work(3, 1e9)) as first, counting("2", work(4, 2e9)) as second:
        sums.add(first.source)
        sums.add(second.source)
        assert changes(before, read_page(sums), "active_streams") == {(): 7}
        assert read_page(sums)["purges_oldest_seconds", ()] == 2e9
        # when one has ended, then nothing of it is left
        sums.remove(second.source)
        assert changes(before, read_page(sums), "active_streams") == {(): 3}
        assert read_page(sums)["purges_oldest_seconds", ()] == 1e9
        sums.remove(first.source)
        assert changes(before, read_page(sums), "active_streams") == {}


def test_memory_and_time_are_of_each_process() -> None:
    sums = MetricSums("supervisor")
    with counting("1", "") as first:
        sums.add(first.source)
        page = read_page(sums)
        of = [labels for name, labels in page if name == "process_resident_memory_bytes"]
        assert of == [(("process", "supervisor"),), (("process", "1"),)]
    # and one that has ended, but is not yet taken away, is no fault
    assert ("process_resident_memory_bytes", (("process", "supervisor"),)) in read_page(sums)


def test_values_beyond_the_file_s_room_are_left_out() -> None:
    # given a file that is filled
    table = create_table()
    writer, reader = TableWriter(table), TableReader(table)
    os.close(table)
    assert not reader.is_full and reader.read() == {}
    key = SampleKey("m", "m_total", (("label", "x" * 10_000),), "")
    cells = []
    while (cell := writer.add(key._replace(sample=f"{len(cells)}"))) is not None:
        cells.append(cell)
        cell[0] = len(cells)
    # then what is in it is read, each by its own key
    assert len(cells) > CAPACITY_BYTES / 11_000
    assert sorted(reader.read().values()) == list(range(1, len(cells) + 1))
    assert reader.is_full
