"""Settings from the environment, one part per subject."""
