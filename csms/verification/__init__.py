"""Whether the database is what it must be: sessions what their facts give, bills what their inputs give."""
