"""The Hub: reading and writing cards there."""
