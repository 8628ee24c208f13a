"""Jobs, audit entries, purges, provider settings as stored."""
