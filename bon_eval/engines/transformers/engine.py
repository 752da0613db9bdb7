"""Hugging Face transformers: the reference engine, and the one that runs where vLLM does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from bon_eval.engines.adapters import check_adapter
from bon_eval.engines.base import AGAIN, EngineSpec, LoadedEngine, Order, Pulse, Tally, no_adapter, stderr_to
from bon_eval.engines.load import load_adapter, load_causal_lm, load_tokenizer
from bon_eval.engines.precision import float32_products
from bon_eval.errors import Boundary, EngineError, ModelError, first_line, unknown_name
from bon_eval.records import Forced, ForcedSequence, Request, Response

if TYPE_CHECKING:
    import torch

INSTALL = "pip install 'bon-eval[transformers]'"

ENGINE_ARGS = {
    "attn_implementation": "transformers' attention kernel, such as sdpa (default) or eager",
    "batch_size": "most sequences decoded at once; default 256",
    "device": "a torch device; default cuda where there is one, else cpu",
    "kv_cache_gib": "most memory for keys and values; default 2 on a CPU, 60 % of what is free on a GPU",
}
"""The engine arguments that are taken, with what they mean."""

_LAYER_TYPES = frozenset({"full_attention", "sliding_attention"})
_DTYPES = ("auto", "float32", "bfloat16", "float16")
_BATCH_SIZE = 256
_SCORE_TOKENS = {"cpu": 8192, "cuda": 32768}


class TransformersEngine(LoadedEngine):
    """A causal language model from transformers behind the `Engine` protocol, with its own decoding loop.

    The model's generation_config is never read. Sampling uses one generator seeded with `EngineSpec.seed`: the same
    requests in the same order give the same responses on the same machine and settings.

    Raises:
        EngineError: transformers, torch or peft is missing, or an engine argument is unknown.
        ModelError: the model, tokenizer or adapter cannot be loaded.
    """

    def __init__(self, spec: EngineSpec) -> None:
        args = _checked_args(spec)
        try:
            import torch
            import transformers
        except ImportError as error:
            raise EngineError(f"engine transformers cannot be imported ({error}); {INSTALL}") from error
        from bon_eval.engines.transformers.text import Detokenizer

        self._spec = spec
        device = _device(torch, args.get("device"))
        if spec.adapter_dir is not None:
            self._check_adapter(spec.adapter_dir)
        with stderr_to(spec.log_path):
            self._model: Any = load_causal_lm(
                spec.model_dir,
                spec.dtype,
                trust_remote_code=spec.trust_remote_code,
                log=spec.log_path,
                **{k: v for k, v in args.items() if k == "attn_implementation"},
            )
        remedy = "check its config.json, or use --engine vllm"
        with Boundary(ModelError, f"engine transformers cannot run {spec.model_dir}", remedy, log=spec.log_path):
            config = self._model.config.get_text_config()
            if unsupported := set(getattr(config, "layer_types", None) or ()) - _LAYER_TYPES:
                raise ModelError(
                    f"model {spec.model_dir} has {', '.join(sorted(unsupported))} layers, which engine transformers "
                    "does not decode; use --engine vllm"
                )
            self._model.to(device).eval()
            if config._attn_implementation == "sdpa":
                from bon_eval.engines.transformers.attention import use_grouped_attention

                use_grouped_attention(self._model)
            self._context = _context_length(config, spec)
        self._adapted = spec.adapter_dir is not None
        if spec.adapter_dir is not None:
            self._model = self._with_adapter(self._model, spec.adapter_dir, device)
        self._detokenizer = Detokenizer(load_tokenizer(spec.model_dir, spec.trust_remote_code, log=spec.log_path))
        self._device = device
        self._generator = torch.Generator(device=device).manual_seed(spec.seed)
        self._tally, self._order = Tally(), Order()
        self._batch_size = int(args.get("batch_size", _BATCH_SIZE))
        self._cache_bytes = _cache_bytes(torch, args.get("kv_cache_gib"), device)
        self._facts = {
            "name": "transformers",
            "version": transformers.__version__,
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "attention": config._attn_implementation,
            "threads": torch.get_num_threads(),
            "context_length": self._context,
            "batch_size": self._batch_size,
            "kv_cache_gib": round(self._cache_bytes / 2**30, 2),
            "generation_config": "ignored",
            "given": dict(sorted(spec.engine_args.items())),
        }
        if device.type == "cuda" and self._model.dtype == torch.float32:
            # torch before 2.9 has the second alone; the second fails where a program set the first.
            told = getattr(torch.backends.cuda.matmul, "fp32_precision", None)
            self._facts["float32_products"] = float32_products(told or torch.get_float32_matmul_precision())

    @property
    def pulse(self) -> Pulse:
        """See `Engine.pulse`."""
        return self._tally.pulse()

    def sample(self, requests: Iterable[Request], *, use_adapter: bool = True) -> Iterator[list[Response]]:
        """Draw every request's responses, yielding each as it finishes. See `Engine.sample`."""
        from bon_eval.engines.transformers.decode import BatchLimits, Decoder

        limits = BatchLimits(rows=self._batch_size, cache_bytes=self._cache_bytes, context=self._context)
        self._order = order = Order()
        with self._adapter(use_adapter), self._working():
            decoder = Decoder(self._model, self._detokenizer, self._generator, limits, self._tally)
            yield from decoder.run(requests, order)

    def score(
        self, sequences: Iterable[ForcedSequence], *, use_adapter: bool = True
    ) -> Iterator[tuple[str, tuple[float, ...]]]:
        """Teacher forcing. See `Engine.score`."""
        for forced in self.score_argmax(sequences, use_adapter=use_adapter):
            yield forced.key, forced.logprobs

    def score_argmax(self, sequences: Iterable[ForcedSequence], *, use_adapter: bool = True) -> Iterator[Forced]:
        """Teacher forcing with the argmax beside it. See `Engine.score_argmax`."""
        from bon_eval.engines.transformers.force import score

        tokens = _SCORE_TOKENS.get(self._device.type, 8192)
        with self._adapter(use_adapter), self._working():
            yield from score(self._model, self._device, sequences, tokens, self._context, self._tally)

    def load_adapter(self, directory: str, adapter_hash: str) -> None:
        """Put another LoRA adapter in force. See `Engine.load_adapter`."""
        if not self._adapted:
            raise no_adapter()
        self._check_adapter(directory)
        base = self._model.unload()
        # PEFT leaves its configuration on the base model, where the next adapter would count as a second one.
        if hasattr(base, "peft_config"):
            del base.peft_config
        self._model = self._with_adapter(base, directory, self._device)

    def statistics(
        self, sequences: Iterable[ForcedSequence], names: tuple[str, ...]
    ) -> Iterator[tuple[str, tuple[tuple[float, ...], ...]]]:
        """Teacher forcing over the full vocabulary: ``(key, one tuple for each name)``, a number for each token.

        Args:
            sequences: as in `Engine.score`.
            names: of ``topk``, ``entropy``, ``self_certainty`` (see `bon_eval.scorers.confidence`), in nats.
        """
        from bon_eval.engines.transformers.force import statistics

        tokens = _SCORE_TOKENS.get(self._device.type, 8192)
        with self._working():
            yield from statistics(self._model, self._device, sequences, names, tokens, self._context, self._tally)

    def _check_adapter(self, directory: str) -> None:
        spec = self._spec
        check_adapter(spec.model_dir, directory, trust_remote_code=spec.trust_remote_code, log=spec.log_path)

    def _with_adapter(self, model: Any, directory: str, device: torch.device) -> Any:
        with stderr_to(self._spec.log_path):
            return load_adapter(model, directory, log=self._spec.log_path).to(device).eval()

    def _working(self) -> AbstractContextManager[None]:
        return Boundary(EngineError, "engine transformers failed", AGAIN, log=self._spec.log_path)

    def _adapter(self, in_force: bool) -> AbstractContextManager[None]:
        off: AbstractContextManager[None] = (
            nullcontext() if in_force or not self._adapted else self._model.disable_adapter()
        )
        return off

    def close(self) -> None:
        """Free the model."""
        self._model = None
        if self._device.type == "cuda":
            import torch

            torch.cuda.empty_cache()


def _checked_args(spec: EngineSpec) -> dict[str, Any]:
    for name in spec.engine_args:
        if name not in ENGINE_ARGS:
            raise EngineError(unknown_name("argument of engine transformers", name, list(ENGINE_ARGS)))
    args: dict[str, Any] = dict(spec.engine_args)
    batch_size, memory = args.get("batch_size", 1), args.get("kv_cache_gib", 1.0)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise EngineError(f"engine argument batch_size is {batch_size!r}; give a whole number of sequences, at least 1")
    if isinstance(memory, bool) or not isinstance(memory, int | float) or memory <= 0:
        raise EngineError(f"engine argument kv_cache_gib is {memory!r}; give a number of GiB above 0")
    if spec.dtype not in _DTYPES:
        raise EngineError(unknown_name("dtype", spec.dtype, list(_DTYPES)))
    return args


def _device(torch: Any, given: object) -> torch.device:
    if given is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(given)
    except (RuntimeError, TypeError) as error:
        raise EngineError(f"engine argument device is {given!r}: {first_line(error)}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise EngineError(f"engine argument device is {given!r}, but torch sees no GPU; give cpu or leave it out")
    return device


def _context_length(config: Any, spec: EngineSpec) -> int:
    # One more than what is sampled, as everywhere: a response is scored with one token behind it.
    longest = None if spec.max_length is None else spec.max_length + 1
    length = getattr(config, "max_position_embeddings", None) or longest
    if length is None:
        raise ModelError(f"model {spec.model_dir} does not tell its context length (max_position_embeddings)")
    return int(length)


def _cache_bytes(torch: Any, given: float | None, device: torch.device) -> int:
    if given is not None:
        return int(given * 2**30)
    if device.type == "cuda":
        return int(0.6 * torch.cuda.mem_get_info(device)[0])
    return 2 * 2**30
