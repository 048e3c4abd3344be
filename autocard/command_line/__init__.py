"""What the commands share: options, what they are given, what they print."""
