"""A model card: Markdown in which slots are found, told apart and filled. docs/dev/architecture.md has the words.

`document` finds headings and slots, `placeholders` says which are empty, `labels` which fact each
asks for, `fields` turns a record into texts, `frontmatter` patches the YAML, `forms` makes blanks,
`fill` merges, `update` does it to a file.
"""
