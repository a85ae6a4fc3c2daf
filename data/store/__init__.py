"""Data sets on disk: clips as Parquet shards, their splits, and reading them."""
