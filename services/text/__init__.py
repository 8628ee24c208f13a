"""Folding, splitting and comparing text, the same way wherever text is stored or searched."""
