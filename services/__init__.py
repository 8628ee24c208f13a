"""The ground floor: Redis, providers, CDN, mail, settings. It imports no other floor."""
