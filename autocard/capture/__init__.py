"""Trainer objects, drivers and environment → parts of the record. One module per source."""
