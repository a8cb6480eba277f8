"""Benchmarks with the patterns of others beside ours: `python -m tests.benchmarks`, results in build/bench/."""
