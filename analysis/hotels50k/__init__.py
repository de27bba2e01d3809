"""The benchmark of Hotels-50K: what its test photos retrieve among the training photos, scored by its own protocol."""
