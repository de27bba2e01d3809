"""The search index: a derivative of the vector shards, rebuilt at any time. Knows no SQL."""
