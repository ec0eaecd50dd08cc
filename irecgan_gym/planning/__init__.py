"""Exact values and best slates of an MDP whose tables are known: what agents are measured against."""
