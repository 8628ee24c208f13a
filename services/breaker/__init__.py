"""Circuit breakers shared by the fleet."""
