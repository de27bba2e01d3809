"""What a library holds, in numbers, tables, plots and a page."""
