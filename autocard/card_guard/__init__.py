"""The card guard: our card is the one on disk and in the upload, whoever else writes cards."""
