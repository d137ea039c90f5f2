"""Local pages in the browser; the only place that imports starlette and uvicorn."""
