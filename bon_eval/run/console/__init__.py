"""What a run says on the terminal, and what it hears: progress, signals."""
