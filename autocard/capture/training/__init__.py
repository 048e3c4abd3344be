"""How it was trained: arguments, optimizer, loss, number formats, speed."""
