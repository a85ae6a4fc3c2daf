"""Made-up videos of personas, and a server on this machine that has them, for tests and benchmarks."""
