"""Benchmarks: run ``python -m benchmarks --help`` from the root of the project."""
