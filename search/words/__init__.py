"""Words: everyday visible things and places, other ways to say the tags of hotels, and what made the lists."""
