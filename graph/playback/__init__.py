"""Public types of sessions, progress, history, watchlist."""

from graph.playback import (
    history,
    progress,
    progress_edits,
    sessions,
    watchlist,
)
