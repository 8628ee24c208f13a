"""Browsing, search, edits, invalidation of the catalogue."""
