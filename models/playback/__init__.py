"""Sessions, progress, history, watchlist as stored."""
