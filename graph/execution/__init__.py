"""Breadth-first execution: a validated operation is compiled once into a plan and run by levels."""

from graph.execution.compile import Uncovered, compile_plan, condition_variables
from graph.execution.plan import Plan
from graph.execution.run import Outcome, execute, execute_event

__all__ = [
    "Outcome",
    "Plan",
    "Uncovered",
    "compile_plan",
    "condition_variables",
    "execute",
    "execute_event",
]
