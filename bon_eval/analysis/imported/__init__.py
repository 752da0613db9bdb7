"""What an imported run says that lacks greedy responses, log-likelihoods, lengths or word on what was cut."""
