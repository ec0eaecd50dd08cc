"""Measures of policies and user models: online, on logged lists, and against held-out sessions."""
