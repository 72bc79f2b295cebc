"""Which messages of OCPP are there: `python -m tests.messages` prints the README's table, a test compares the two."""
