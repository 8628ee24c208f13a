"""Private MongoDB and Redis servers for development and tests."""
