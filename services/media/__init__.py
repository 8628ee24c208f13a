"""Films of our own: ingest, HLS, signed URLs, drawn art."""
