"""Inspection of a film before anything is encoded: streams, lengths, and what to mend."""
