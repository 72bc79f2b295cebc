"""Small worlds in which everything fails that can, one from each seed: `python -m tests.faults.seeds 217` replays one."""
