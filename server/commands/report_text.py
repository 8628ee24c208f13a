"""Text of reports: of imports, of indexes."""

from __future__ import annotations

from collections.abc import Sequence

from models import IndexPlan
from resolvers.catalog.imports.report import Problems, Report


def format_report(report: Report) -> str:
    """An import's report, one line per collection and problem."""
    lines = [
        f"{name:<10} {done.inserted} new, {done.updated} changed, {done.unchanged} as they were"
        + (f", {done.removed} removed" if done.removed else "")
        for name, done in report.changes.items()
    ]
    lines += _format_problems("rows left out", report.broken)
    lines += _format_problems("ids already taken by another title", report.conflicts)
    if report.keys_dropped is None:
        lines.append("Redis did not answer: its cached catalogue may be old for up to an hour.")
    total = report.total
    lines.append(f"{total.inserted + total.updated + total.removed} changes.")
    return "\n".join(lines)


def _format_problems(what: str, problems: Problems) -> list[str]:
    if not problems.count:
        return []
    return [f"{problems.count} {what}:", *(f"  {reason}" for reason in problems.examples)]


def format_indexes(plans: Sequence[IndexPlan]) -> str:
    """One line per index that differs, then the sum."""
    lines = [
        f"{word:<8} {plan.collection}.{name}"
        for plan in plans
        for word, names in (
            ("missing", plan.missing),
            ("changed", plan.changed),
            ("extra", plan.extra),
        )
        for name in names
    ]
    in_place = sum(len(plan.in_place) for plan in plans)
    lines.append(f"{in_place} indexes are in place, {len(lines)} differ.")
    return "\n".join(lines)
