"""Policies to read agents against: simple ones, and exact ones that know the tables of the MDP."""
