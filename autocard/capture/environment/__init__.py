"""The machine, its software, the code, the launcher and the scheduler."""
