"""Wheels: tags, archive, audit; bytes in, findings out."""
