"""The front matter: YAML by spans, so that what is not written stays the same to the byte."""
