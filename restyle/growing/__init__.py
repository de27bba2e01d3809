"""Plants drawn by the program: leaf shadows, vines, moss, fronds and flowers over a regraded photo. No weights."""
