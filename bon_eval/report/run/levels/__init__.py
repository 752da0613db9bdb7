"""What a run's report shows of likelihood and correctness at four levels."""
