"""Forgetting people: their contacts are taken out of everything that this package has landed, and nothing else is."""
