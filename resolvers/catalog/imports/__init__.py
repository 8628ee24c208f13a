"""Where the catalogue comes from: our demo, MovieLens, and a synthetic one for load work."""
