"""Videos of personas, and a local server for them, for tests and benchmarks."""
