"""What happens from the first event of a training to its last card."""
