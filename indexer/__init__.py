"""Photos come in here: found on disk or in CSV files, decoded, embedded, recorded, verified."""
