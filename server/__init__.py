"""The front door. The only room that speaks Starlette and Uvicorn."""
