"""Figures of runs, drawn from their tables alone."""
