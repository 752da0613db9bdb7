"""What graders know of languages and of ways to write numbers, as tables: one line a language."""
