"""Photos that are copies of others: found, confirmed, put into groups, and told. Removes nothing."""
