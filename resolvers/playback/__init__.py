"""Sessions, progress, history, watchlist."""
