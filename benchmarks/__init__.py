"""Experiments: one script a question, one folder a run."""
