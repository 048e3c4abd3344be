"""Cards that other libraries write: told from what people write, and kept where they would be lost."""
