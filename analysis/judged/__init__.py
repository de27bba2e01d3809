"""How well a library is searched, measured by queries of which it is known what answers them."""
