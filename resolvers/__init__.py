"""What happens: plain async functions of a Context. No third-party import, no GraphQL."""
