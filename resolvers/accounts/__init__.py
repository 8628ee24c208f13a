"""Sign-in, profile, mail, API keys, erasure."""
