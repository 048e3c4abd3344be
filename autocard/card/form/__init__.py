"""What a form asks for: labels, placeholders, guidance, shipped templates."""
