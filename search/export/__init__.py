"""Bulk export of tags: the whole library or a query's result, streamed into a file or a folder, with a manifest."""
