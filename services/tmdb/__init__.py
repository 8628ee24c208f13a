"""The client of TMDb."""
