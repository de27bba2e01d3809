"""Searching segments of vectors: exactly, or by an approximate index or Milvus that names candidates. Knows no SQL."""
