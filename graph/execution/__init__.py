"""Breadth-first execution: a validated operation is compiled once into a plan and run by levels."""

from graph.execution.compile import Uncovered, compile_plan, condition_variables
from graph.execution.deadline import Deadline, Watch
from graph.execution.plan import Plan
from graph.execution.run import Outcome, execute, execute_event

__all__ = [
    "Deadline",
    "Outcome",
    "Plan",
    "Uncovered",
    "Watch",
    "compile_plan",
    "condition_variables",
    "execute",
    "execute_event",
]
