"""Everything that is not GraphQL, one subject a file."""
