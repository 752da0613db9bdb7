"""Following a training: likelihoods, best-of-N and pair measures at each checkpoint."""
