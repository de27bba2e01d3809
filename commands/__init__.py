"""The commands of `aliens`, a file for each group; cli.py puts them together. Parse, call one function, print."""
