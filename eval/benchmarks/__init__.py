"""Speed and memory: what scripts/benchmark.py measures."""
