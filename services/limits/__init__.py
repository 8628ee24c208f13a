"""Rate limits, throttles, abuse watch, client addresses."""
