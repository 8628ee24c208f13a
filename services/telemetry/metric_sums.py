"""The metrics of several processes on one page, as if one process had counted.

Counters and histograms are summed, with what ended processes had counted. Gauges are of the
running ones: summed, or the greatest, as each is declared. What the system tells of a process
(`process_*`) is told of each, with the label `process`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from services.telemetry.metrics import REGISTRY
from services.telemetry.shared_values import SampleKey, TableReader, read_own_values

_OF_PROCESSES = "process_"
_BOUND = "le"
_GREATEST = "livemax"
Labels = tuple[tuple[str, str], ...]
Values = Mapping[SampleKey, float]


@dataclass(frozen=True, slots=True)
class CountedProcess:
    """A running process. Of two with one name, as while it is replaced, the newer is told of."""

    name: str
    pid: int
    table: TableReader


class MetricSums(Collector):
    """All processes of a supervisor, itself included.

    Args:
        own_name: the supervisor's value of the label `process`.
    """

    def __init__(self, own_name: str) -> None:
        self._own_name = own_name
        self._sources: list[CountedProcess] = []
        self._ended: dict[SampleKey, float] = {}
        self._page = CollectorRegistry()
        self._page.register(self)

    def add(self, source: CountedProcess) -> None:
        """Count a process from now on."""
        self._sources.append(source)

    def remove(self, source: CountedProcess) -> None:
        """Keep what an ended process counted; its gauges are gone."""
        self._sources.remove(source)
        for key, value in source.table.read().items():
            if not key.mode:
                self._ended[key] = self._ended.get(key, 0.0) + value

    def render(self) -> bytes:
        """Render the page in the text format that Prometheus scrapes."""
        return generate_latest(self._page)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names are known from `collect`."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with the sums of all processes."""
        by_metric = self._sum()
        for own in REGISTRY.collect():
            if not own.name.startswith(_OF_PROCESSES):
                yield _build(own, by_metric.get(own.name, {}))
        yield from self._collect_of_processes()

    def _sum(self) -> dict[str, dict[SampleKey, float]]:
        running = [read_own_values(), *(source.table.read() for source in self._sources)]
        totals: dict[str, dict[SampleKey, float]] = defaultdict(dict)
        for values in (self._ended, *running):
            for key, value in values.items():
                of_metric = totals[key.metric]
                before = of_metric.get(key)
                of_metric[key] = value if before is None else _merge(key, before, value)
        return totals

    def _collect_of_processes(self) -> Iterator[Metric]:
        pids = {source.name: str(source.pid) for source in self._sources}
        families: dict[str, Metric] = {}
        for name, pid in ((self._own_name, "self"), *pids.items()):
            collector = ProcessCollector(pid=lambda pid=pid: pid, registry=None)  # type: ignore[misc]
            for own in collector.collect():
                family = families.setdefault(own.name, _without_samples(own))
                for sample in own.samples:
                    family.add_sample(sample.name, {"process": name}, sample.value)
        yield from families.values()


def _merge(key: SampleKey, one: float, other: float) -> float:
    return max(one, other) if key.mode == _GREATEST else one + other


def _without_samples(metric: Metric) -> Metric:
    return Metric(metric.name, metric.documentation, metric.type)


def _build(own: Metric, values: Values) -> Metric:
    metric = _without_samples(own)
    if own.type == "histogram":
        _add_histogram(metric, values)
    else:
        for key, value in values.items():
            metric.add_sample(key.sample, dict(key.labels), value)
    return metric


def _add_histogram(metric: Metric, values: Values) -> None:
    """Add the samples of a histogram, whose buckets count by themselves until here."""
    buckets: dict[Labels, dict[str, float]] = defaultdict(dict)
    sums: dict[Labels, float] = {}
    for key, value in values.items():
        if key.sample.endswith("_bucket"):
            _, bound = key.labels[-1]
            buckets[key.labels[:-1]][bound] = value
        else:
            sums[key.labels] = value
    for labels, counts in buckets.items():
        below = 0.0
        for bound in sorted(counts, key=float):
            below += counts[bound]
            metric.add_sample(f"{metric.name}_bucket", {**dict(labels), _BOUND: bound}, below)
        metric.add_sample(f"{metric.name}_count", dict(labels), below)
        metric.add_sample(f"{metric.name}_sum", dict(labels), sums.get(labels, 0.0))
