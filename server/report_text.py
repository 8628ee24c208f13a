"""An import's report as people read it."""

from __future__ import annotations

from resolvers.imports.report import Problems, Report


def text_of(report: Report) -> str:
    lines = [
        f"{name:<10} {done.inserted} new, {done.updated} changed, {done.unchanged} as they were"
        for name, done in report.changes.items()
    ]
    lines += _problems("rows left out", report.broken)
    lines += _problems("ids already taken by another title", report.taken)
    if report.keys_dropped is None:
        lines.append("Redis did not answer: its cached catalogue may be old for up to an hour.")
    total = report.total
    lines.append(f"{total.inserted + total.updated} changes.")
    return "\n".join(lines)


def _problems(what: str, problems: Problems) -> list[str]:
    if not problems.count:
        return []
    return [f"{problems.count} {what}:", *(f"  {reason}" for reason in problems.examples)]
