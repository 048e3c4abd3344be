"""Markdown text → document, sections, slots, each with its place in the text."""
