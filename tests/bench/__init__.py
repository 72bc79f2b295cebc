"""How fast, in one run against a raw echo server: `python -m tests.bench`."""
