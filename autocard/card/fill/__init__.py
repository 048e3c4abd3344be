"""Facts into slots: the one way to change a card, and the proof before each write."""
