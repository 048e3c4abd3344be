"""What the model is and where its weights came from."""
