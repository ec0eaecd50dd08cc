"""The decision page: whether a new policy is better than the current one, from a log."""
