"""Claims of the paper (§7) as data, and verdicts of runs on them."""
