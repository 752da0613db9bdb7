"""Whether likelihood predicts correctness, at four levels (Zenn & Geiping 2026, arXiv 2606.27359)."""
