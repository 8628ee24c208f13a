"""Sources of the catalogue: the demo, MovieLens, TMDb, and a synthetic one for load tests."""
