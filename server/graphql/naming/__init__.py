"""How a request names what it asks for: a document, an operation, and the client itself."""
