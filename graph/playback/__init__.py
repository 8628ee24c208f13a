"""Public types of sessions, progress, history, watchlist."""
