"""Public types of accounts."""
