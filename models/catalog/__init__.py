"""Films, shows, people, genres as stored."""
