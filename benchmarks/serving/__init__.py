"""Measurements of exported and served policies: ``python -m benchmarks.serving.latency`` and ``.load``."""
