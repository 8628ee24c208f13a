"""The ground floor: what we talk to. One noun per file; imports nothing of ours above it."""
