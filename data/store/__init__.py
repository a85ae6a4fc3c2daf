"""Data sets on disk: clips in Parquet shards, splits, and reading."""
