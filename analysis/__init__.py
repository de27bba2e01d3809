"""What a library holds, told by numbers, and how well it is searched: statistics, benchmarks, comparisons."""
