"""Models compared on a sample of a library: what another one would gain, and what it would cost."""
