"""The front door: the only package that uses Starlette and Uvicorn."""
