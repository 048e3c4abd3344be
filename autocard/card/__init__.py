"""A model card: Markdown in which slots are found, classified and filled.

`markdown` finds headings and slots, `form` decides which are empty and which fact each asks for,
`fields` turns a record into texts, `front` patches the YAML, `fill` puts the texts into a card,
`update` does it to a file, `check` finds what is empty or out of date. docs/dev/architecture.md has
the words.
"""
