"""Started servers, each with its requests for every item it takes part in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import items
from bench.client import send
from bench.databases import Addresses
from bench.dataset import Dataset
from bench.install import peer_command
from bench.items import Item, Request
from bench.load import write_requests
from bench.processes import SERVER_CORE, BenchError, Child, free_port, start, wait_until
from bench.targets import Target, settings
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
    targets: Sequence[Target], addresses: Addresses, folder: Path, more: Mapping[str, str]
) -> Iterator[list[Running]]:
    """All targets, started and answering; stopped at the end."""
    with ExitStack() as stack:
        started: list[Running] = []
        for target in targets:
            port = free_port()
            child = start(
                target.name,
                peer_command(target, folder),
                core=SERVER_CORE,
                log=folder / f"logs/{target.name}.log",
                environment=settings(target, addresses, port, more),
                folder=target.folder,
            )
            stack.callback(child.stop)
            started.append(Running(target, port, child))
        for server in started:
            wait_until(lambda port=server.port: _answers(port), server.child)  # type: ignore[misc]
        yield started


def _answers(port: int) -> bool:
    probe = Request("POST", "/graphql", {"content-type": "application/json"}, _TYPENAME)
    try:
        return "data" in send(port, probe).json()
    except (OSError, BenchError):
        return False


_TYPENAME = json.dumps({"query": "{ __typename }"})


def prepare(
    server: Running, chosen: Sequence[Item], dataset: Dataset, folder: Path, login: str | None
) -> None:
    """Signs in, registers hashes, learns ETags, and writes what the load generator will send."""
    for item in chosen:
        if server.target.group not in item.groups:
            continue
        try:
            make = _maker(server, item, dataset, login)
            server.use(item, make, folder)
        except BenchError as error:
            server.notes.append(f"{item.name}: left out: {error}")


def _maker(
    server: Running, item: Item, dataset: Dataset, login: str | None
) -> Callable[[], list[Request]]:
    """What makes this item's requests, now and again before each round."""
    port, target = server.port, server.target
    if item.name == "progress":
        if not target.is_ours:
            return lambda: items.reports(dataset, peer_sessions(dataset))
        viewers = sign_in(port, dataset, login)
        return lambda: items.reports(dataset, playing(port, viewers))
    made = items.requests(item, dataset, is_persisted=target.is_persisted)
    if target.is_persisted:
        _register(port, item, dataset)
    if item.is_conditional:
        made = [_conditional(port, one) for one in made]
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
