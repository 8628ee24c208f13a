"""Started servers, each with its requests for every item it takes part in."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import items
from bench.client import send
from bench.databases import Addresses
from bench.dataset import Dataset
from bench.environment import settings
from bench.install import peer_command
from bench.items import Item, Request
from bench.load import write_requests
from bench.processes import SERVER_CORE, BenchError, Child, free_port, start, wait_until
from bench.targets import Target
from bench.viewers import peer_sessions, playing, sign_in


@dataclass
class Running:
    target: Target
    port: int
    child: Child
    requests: dict[str, list[Request]] = field(default_factory=dict)
    makers: dict[str, Callable[[], None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.target.name

    def use(self, item: Item, make: Callable[[], list[Request]], folder: Path) -> None:
        def renew() -> None:
            self.requests[item.name] = make()
            write_requests(self.file(folder, item), self.requests[item.name])

        renew()
        self.makers[item.name] = renew

    def renew(self, item: Item) -> None:
        """Makes requests anew that do not keep: a started playback ends when nothing is heard."""
        if item.name == "progress":
            self.makers[item.name]()

    def file(self, folder: Path, item: Item) -> Path:
        return folder / f"requests/{self.name}.{item.name}.tsv"


@contextmanager
def servers(
    targets: Sequence[Target],
    addresses: Addresses,
    folder: Path,
    more: Mapping[str, str],
    *,
    core: int = SERVER_CORE,
) -> Iterator[list[Running]]:
    """All targets, started and answering, each with a Redis database; stopped at the end."""
    with ExitStack() as stack:
        started: list[Running] = []
        databases = number_databases(targets)
        for target in targets:
            port, own = free_port(), addresses.with_database(databases[target.name])
            child = start(
                target.name,
                peer_command(target, folder),
                core=core,
                log=folder / f"logs/{target.name}.log",
                environment=settings(target, own, port, more),
                folder=target.folder,
            )
            stack.callback(child.stop)
            started.append(Running(target, port, child))
        for server in started:
            wait_until(lambda port=server.port: _answers(port), server.child)  # type: ignore[misc]
        yield started


def number_databases(targets: Sequence[Target]) -> dict[str, int]:
    """The number of each target's Redis database: its own, or that of the one it shares with."""
    own = {target.name: number for number, target in enumerate(targets)}
    return {target.name: own[target.redis_of or target.name] for target in targets}


def _answers(port: int) -> bool:
    probe = Request("POST", "/graphql", {"content-type": "application/json"}, _TYPENAME)
    try:
        return "data" in send(port, probe).json()
    except (OSError, BenchError):
        return False


_TYPENAME = json.dumps({"query": "{ __typename }"})


def prepare(
    started: Sequence[Running],
    chosen: Sequence[Item],
    dataset: Dataset,
    folder: Path,
    login: str | None,
) -> None:
    """Signs in, registers hashes, learns ETags, and writes what the load generator will send."""
    ports = {server.name: server.port for server in started}
    for server, item in itertools.product(started, chosen):
        if not takes_part(server.target, item):
            continue
        try:
            session_port = ports[server.target.redis_of or server.name]
            make = _maker(server, item, dataset, session_port, login)
            server.use(item, make, folder)
        except BenchError as error:
            server.notes.append(f"{item.name}: left out: {error}")


def takes_part(target: Target, item: Item) -> bool:
    is_of_group = any(group in item.groups for group in target.groups)
    return is_of_group and (target.items is None or item.name in target.items)


def _maker(
    server: Running, item: Item, dataset: Dataset, session_port: int, login: str | None
) -> Callable[[], list[Request]]:
    """What makes this item's requests, now and again before each round.

    Sessions are signed in and started at `session_port`: of the server, or of ours that it
    shares them with.
    """
    target = server.target
    if item.name == "progress":
        if not target.is_ours and target.redis_of is None:
            return lambda: items.reports(dataset, peer_sessions(dataset))
        viewers = sign_in(session_port, dataset, login)
        return lambda: items.reports(dataset, playing(session_port, viewers))
    made = items.requests(item, dataset)
    if item.is_persisted:
        _register(server.port, item, dataset)
    if item.is_conditional:
        made = [_conditional(server.port, one) for one in made]
    return lambda: made


def _register(port: int, item: Item, dataset: Dataset) -> None:
    answer = send(port, items.registration(item, dataset)).json()
    if answer.get("errors"):
        raise BenchError(f"its text is not registered: {answer['errors']}")


def _conditional(port: int, request: Request) -> Request:
    """The same request with the ETag it was answered with.

    Raises:
        BenchError: the server gives no ETag or does not answer it with 304.
    """
    tag = send(port, request).headers.get("etag")
    if not tag:
        raise BenchError("no ETag")
    conditional = Request(request.method, request.path, {**request.headers, "if-none-match": tag})
    if send(port, conditional).status != 304:
        raise BenchError("an ETag, but no 304")
    return conditional
