"""Cards that other libraries write: read, told from people's, and kept where they would be lost."""
