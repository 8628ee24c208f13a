"""Text of what is told about documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from graph.engine.document_check import DocumentReport
from models import DocumentReleaseRecord, PushedDocumentRecord
from services.documents.ids import show_id


def format_check(reports: Sequence[DocumentReport]) -> str:
    """Lines for each document that does not run or mixes, then how many these are."""
    broken = sum(bool(one.problems) for one in reports)
    mixed = sum(one.mixed is not None for one in reports)
    lines = [line for one in reports for line in _format_findings(one)]
    return "\n".join([*lines, f"{len(reports)} documents: {broken} broken, {mixed} mixed."])


def _format_findings(report: DocumentReport) -> Iterator[str]:
    if report.problems:
        yield f"✖  {_format_name(report)}"
        yield from (f"   {' '.join(problem.split())}" for problem in report.problems)
    if report.mixed is not None:
        public, private = (", ".join(names) for names in report.mixed)
        yield f"⚠  {_format_name(report)}"
        yield f"   is private as a whole: {private} beside the public {public}"


def _format_name(report: DocumentReport) -> str:
    names = ", ".join(name for name in report.operations if name)
    return f"{show_id(report.id)} {names}".rstrip()


def format_releases(releases: Sequence[DocumentReleaseRecord], documents: int) -> str:
    """A line for each release, then how many documents there are."""
    lines = [
        f"{one.client:<24} {one.release:<16} {_format_time(one.updated_at)}  "
        f"{len(one.document_ids)} documents"
        for one in releases
    ]
    return "\n".join([*lines, f"{len(releases)} releases, {documents} documents."])


def format_documents(
    reports: Sequence[DocumentReport],
    records: Sequence[PushedDocumentRecord],
    releases: Sequence[DocumentReleaseRecord],
) -> str:
    """A line for each document: id, operations, clients, cost, who may cache it, last use."""
    used = {one.id: one.used_at for one in records}
    clients = {(id_, one.client) for one in releases for id_ in one.document_ids}
    names: dict[str, list[str]] = {}
    for id_, client in sorted(clients):
        names.setdefault(id_, []).append(client)
    return "\n".join(
        f"{_format_name(one)}  {'+'.join(names.get(one.id, ['no release']))}  "
        f"{one.cost} points  {_format_caching(one)}  {_format_use(used.get(one.id))}"
        for one in reports
    )


def _format_caching(report: DocumentReport) -> str:
    if report.problems:
        return "broken"
    seconds = report.max_age_seconds
    return "private" if seconds is None else f"public {seconds} s"


def _format_use(used_at: datetime | None) -> str:
    return "never used" if used_at is None else f"used {_format_time(used_at)}"


def _format_time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
