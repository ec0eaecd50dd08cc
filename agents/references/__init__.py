"""Policies to read agents against: simple ones, and ones that know the tables of the MDP."""
