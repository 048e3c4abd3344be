"""Cards that other libraries write: read, distinguished from people's, kept where needed."""
