"""Breadth-first execution: a validated operation is compiled once into a plan and run by levels."""

from graph.engine.execution.compile import UnsupportedOperation, compile_plan, condition_variables
from graph.engine.execution.deadline import Deadline, DeadlineTimer
from graph.engine.execution.plan import Plan
from graph.engine.execution.run import Outcome, execute, execute_event

__all__ = [
    "Deadline",
    "DeadlineTimer",
    "Outcome",
    "Plan",
    "UnsupportedOperation",
    "compile_plan",
    "condition_variables",
    "execute",
    "execute_event",
]
