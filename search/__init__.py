"""Searching a library: a query becomes one unit vector, photos are ranked, tagged, captioned, exported."""
