"""Long work: the commands themselves, as child processes that report how far they are."""
