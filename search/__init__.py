"""Searching a library: `open_library(path).search("bathtub with a view", k=10)`."""

from search.library import Feedback, Library, open_library
from search.results import Hit, Results
from search.shape import Shape

__all__ = ["Feedback", "Hit", "Library", "Results", "Shape", "open_library"]
