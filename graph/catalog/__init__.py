"""Public types of the catalogue."""
