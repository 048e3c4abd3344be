"""What runs while training: which devices, how many joules, where the electricity came from.

`Meter` (in `meter`) is all that the floors above need; its CodeCarbon lives in a child process
(`carbon`).
"""
