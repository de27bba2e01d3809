"""The recognition quiz: whether restyled photos are recognised, by a machine and by people."""
