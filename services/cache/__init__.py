"""The shared cache: entries, lists, invalidation, single flight."""
