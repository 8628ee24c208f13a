"""What changed between two texts of a public schema, and whom it breaks."""

from graph.contract.changes import Change, Criticality
from graph.contract.comparison import UnreadableSchema, compare_schemas

__all__ = ["Change", "Criticality", "UnreadableSchema", "compare_schemas"]
