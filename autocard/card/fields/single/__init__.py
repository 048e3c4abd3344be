"""Figures that forms ask for one by one: one value each, from the record."""
