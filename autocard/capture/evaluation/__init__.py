"""What the trainer reported: its log and its results."""
