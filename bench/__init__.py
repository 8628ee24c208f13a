"""Our server beside the servers a user would pick instead: `python -m bench`, see README.md."""
