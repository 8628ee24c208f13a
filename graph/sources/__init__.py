"""Public types of streaming sources."""
