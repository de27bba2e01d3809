"""What every room stands on: errors, settings, files, arrays, console. Imports nothing of ours."""

__version__ = "0.2.0"
