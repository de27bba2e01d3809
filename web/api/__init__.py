"""The same as the pages, as JSON, below /api/v1."""
