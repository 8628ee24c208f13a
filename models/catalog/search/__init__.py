"""Search by name: keys stored with each title and person, candidates, ranking."""
