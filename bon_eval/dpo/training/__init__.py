"""Training with TRL: preference optimisation, supervised fine-tuning, on-policy rounds."""
