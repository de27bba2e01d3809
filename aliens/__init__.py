"""CV-Aliens: search, tag and restyle photos by describing them. This package imports nothing of ours."""

__version__ = "0.1.0"
