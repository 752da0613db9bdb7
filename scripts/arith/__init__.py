"""The embedded arithmetic task and the two small models trained on it: problems, tokenizer, training, evaluation."""
