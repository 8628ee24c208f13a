"""The basis of every document: ids, base classes, reads, replica sets."""
