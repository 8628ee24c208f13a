"""`serve --processes N`: one supervisor, and the processes that serve for it."""
