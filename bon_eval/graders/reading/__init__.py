"""Which text of a response is its answer: statements in words, formulas without delimiters, bare numbers."""
