"""What every document stands on: ids, base classes, reads, replica sets."""
