"""Answers: from LaTeX or text to a form, and exact comparison of two forms."""
