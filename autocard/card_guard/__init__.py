"""The card guard: our card ends up on disk and in the upload, even if libraries write cards."""
