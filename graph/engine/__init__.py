"""How operations are parsed, limited, planned and run."""
