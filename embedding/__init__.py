"""Photos and texts become unit vectors, stored and searched: arrays and files only, no SQL."""
