"""Searching a library: `open_library(path).search("bathtub with a view", k=10)`."""

from search.library import Hit, Library, open_library

__all__ = ["Hit", "Library", "open_library"]
