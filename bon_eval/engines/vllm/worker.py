"""What vLLM's workers do besides, through vLLM's own hook for it (``worker_extension_cls``)."""

from __future__ import annotations

from typing import Any

EXTENSION = f"{__name__}.WithoutRanks"
"""As vLLM's engine argument takes it."""


class WithoutRanks:
    """Adds a method to the worker, called once after loading."""

    def skip_token_ranks(self) -> None:
        """Give -1 for each token's rank in the vocabulary, which comes with its log-prob and is read nowhere.

        On a CPU it costs more than the log-prob itself: for 256 sequences of a vocabulary of 49,152 55 ms where the
        log-softmax takes 31 ms, unless it is compiled, which takes a compiler and 5 to 30 seconds of each engine.
        """
        import torch
        from vllm.v1.sample import sampler

        def no_rank(logprobs: Any, values: Any) -> Any:
            return torch.full((logprobs.shape[0],), -1, dtype=torch.int64, device=logprobs.device)

        if not hasattr(sampler, "batched_count_greater_than"):
            raise AttributeError("vllm.v1.sample.sampler counts ranks elsewhere than in 0.32")
        sampler.batched_count_greater_than = no_rank
