"""What is out of date, empty, wrong or contradictory in a card."""
