"""Sessions and progress in Redis."""
