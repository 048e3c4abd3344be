"""The pieces of work that a session does in a training: their table, and what each of them does."""
