"""`RunConfig`: every resolved parameter of a run. What numbers depend on makes its identity, and so its directory."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bon_eval.draws import DrawSpec, as_stored, specs
from bon_eval.errors import ConfigError, unknown_name
from bon_eval.records import Draw

TOKEN_STATS = ("none", "topk")
"""What a run can store for each token besides its log-prob."""

# Engine arguments that say where and how fast to compute, not what: a run may be resumed with others.
PLACEMENT_ARGS = frozenset([
    "async_scheduling", "attention_backend", "attention_config", "base_url", "batch_size", "block_size",
    "compilation_config", "concurrency", "cpu_offload_gb", "cpu_offload_params", "cudagraph_capture_sizes",
    "cudagraph_metrics", "data_parallel_size", "device", "device_ids", "disable_cascade_attn",
    "disable_custom_all_reduce", "disable_log_stats", "distributed_executor_backend",
    "distributed_timeout_seconds", "download_dir", "enable_chunked_prefill", "enable_dbo", "enable_eplb",
    "enable_expert_parallel", "enable_flashinfer_autotune", "enable_prefix_caching", "enforce_eager",
    "eplb_config", "fully_sharded_loras", "gpu_memory_utilization", "kernel_config",
    "kv_cache_memory_bytes", "limit_mm_per_prompt", "linear_backend", "load_format", "log_level",
    "master_addr", "master_port", "max_cpu_loras", "max_cudagraph_capture_size", "max_loras",
    "max_model_len", "max_n", "max_num_active_seqs", "max_num_batched_tokens", "max_num_scheduled_tokens",
    "max_num_seqs", "max_parallel_loading_workers", "moe_backend", "nnodes", "node_rank",
    "num_gpu_blocks_override", "numa_bind", "numa_bind_cpus", "numa_bind_nodes", "offload_backend",
    "optimization_level", "patience", "performance_mode", "pipeline_parallel_size",
    "prefix_caching_hash_algo", "safetensors_load_strategy", "scheduling_policy", "stream_interval",
    "swap_space", "tensor_parallel_size", "threads", "timeout", "use_tqdm_on_load", "wait",
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunConfig:
    """One model on one task under one way of sampling, with nothing left to a default."""

    task: str
    model: str
    """As the user named it: hub id, path or embedded model."""
    revision: str | None
    """The hub commit that was resolved; None for a local directory."""
    adapter: str | None
    engine: str
    dtype: str
    n: int
    limit: int | None
    temperature: float
    """Of the pool; greedy is always temperature 0."""
    max_tokens: int
    stop: tuple[str, ...]
    stop_token_ids: tuple[int, ...]
    prompt_style: str
    """``chat`` or ``plain``, resolved."""
    shots: int
    seed: int
    grader: str
    data: str | None
    """The local file used in place of the hub, or None."""
    train_data: str | None
    """The same for the train split, from which few-shot examples are drawn."""
    spec_hash: str
    """Over what the task asks, whatever its rows."""
    model_hash: str
    adapter_hash: str | None
    first_prompt: str
    """Over the first problem's id and prompt token ids, for the prompt settings: chat template, system text, date,
    examples and tokenizer. The other problems are compared one by one where a run is gone on with."""
    task_hash: str
    """As `spec_hash`, with every problem of the extent and its gold answer."""
    prompts_hash: str
    """Over ids, gold answers and prompt token ids of all problems of the extent."""
    trust_remote_code: bool = False
    engine_args: dict[str, object] = field(default_factory=dict)
    token_stats: str = "none"
    """What is stored for each token besides its log-prob: ``none`` or ``topk``."""
    cluster: str | None = None
    """Column of the problems whose equal values share a source; it changes no response."""
    chance: float | None = None
    """How often a guess is right, as the task states it; None: as its grader and the options of each problem say."""
    reasoning: tuple[tuple[str, str], ...] | None = None
    """The task's own markers that open and close reasoning; None: those of `bon_eval.graders.reasoning`."""
    system: str | None = None
    """The system text that the user gave in place of the task's."""
    chat_template: str | None = None
    """The file, or the name of one of the model's templates, that the user gave in place of the model's own."""
    chat_template_args: dict[str, object] = field(default_factory=dict)
    date: str | None = None
    """The day, ``YYYY-MM-DD``, that the chat template wrote into the prompts; fixed when the run first started."""
    draws: tuple[DrawSpec, ...] = ()
    """Besides greedy and the pool."""
    shard: str | None = None
    """``2/4``: the second of four parts of a run, by problem; None: all of it. The hashes above are of all of it."""

    def __post_init__(self) -> None:
        if self.token_stats not in TOKEN_STATS:
            raise ConfigError(unknown_name("token statistic", self.token_stats, list(TOKEN_STATS)))
        if self.shard is not None:
            Shard.parse(self.shard)
        if self.n < 1:
            raise ConfigError(f"n must be at least 1, got {self.n}")
        if self.max_tokens < 1:
            raise ConfigError(f"max tokens must be at least 1, got {self.max_tokens}")
        if not 0 < self.temperature < float("inf"):
            raise ConfigError(
                f"temperature of the pool must be above 0 (greedy is an arm of its own), got {self.temperature}"
            )
        draw_specs(self)
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit must be at least 1, got {self.limit}")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed must be in [0, 2**31), got {self.seed}")

    def as_dict(self) -> dict[str, object]:
        """JSON-ready, every field."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def identity(self) -> dict[str, object]:
        """The fields that a stored response depends on: two runs with equal identities are the same run.

        Left out is the extent, which can grow: n, limit, other draws and what hashes all problems. So are names and
        paths for which a content hash stands, the grader and the markers of reasoning (grades are replayed from the
        responses), clusters and chance of the analysis, the placement arguments of the engine, and the system text and
        the chat template, which the first prompt holds.
        """
        fields = self.as_dict()
        extent = ("n", "limit", "draws", "task_hash", "prompts_hash")
        replayed = ("grader", "reasoning", "cluster", "chance")
        in_the_prompts = ("system", "chat_template")
        for name in ("model", "adapter", "data", "train_data", "revision", *extent, *in_the_prompts, *replayed):
            del fields[name]
        if self.token_stats == "none":
            del fields["token_stats"]  # as it was before there was a choice
        for name in ("shard", "chat_template_args", "date"):
            if not fields[name]:
                del fields[name]
        fields["engine_args"] = {k: v for k, v in sorted(self.engine_args.items()) if k not in PLACEMENT_ARGS}
        return fields

    @property
    def run_id(self) -> str:
        """Twelve hex digits of the identity's SHA-256."""
        return digest(self.identity())[:12]


def draw_specs(config: RunConfig | Mapping[str, Any]) -> tuple[DrawSpec, ...]:
    """The draws of a run, in the order of the requests; here alone stands what a run owes.

    `config`: of a run, or as its run.json has it; of a mapping ``n`` and ``temperature`` are enough.
    """
    if not isinstance(config, RunConfig):
        return specs(config)
    return specs({"n": config.n, "temperature": config.temperature, "draws": [as_stored(d) for d in config.draws]})


def draws(config: RunConfig | Mapping[str, Any]) -> dict[Draw, int]:
    """Responses per problem of each of the `draw_specs`."""
    return {draw.name: draw.n for draw in draw_specs(config)}


def responses_per_problem(config: RunConfig | Mapping[str, Any]) -> int:
    """Responses that a run owes of each problem, over all draws."""
    return sum(draws(config).values())


def count_owed(config: RunConfig | Mapping[str, Any], n_problems: int) -> int:
    """Requests that a run of so many problems owes."""
    return len(draws(config)) * n_problems


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON of a value, in hex."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def differences(stored: dict[str, object], given: dict[str, object]) -> list[str]:
    """``name: stored -> given`` for each field of two identities that differs, in the order of the given one."""
    names = [*given, *(name for name in stored if name not in given)]
    return [
        f"{name}: {_short(stored.get(name))} -> {_short(given.get(name))}"
        for name in names
        if stored.get(name) != given.get(name)
    ]


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 48 else text[:45] + "..."


_TEXT = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` parts of a run, counted from 1: split by problem, so that machines need not know of each other.

    A problem's shard is a hash of its id, and of nothing else: the split is the same on every machine, in any order of
    the problems, and a problem stays where it is when others are added.
    """

    index: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``2/4`` as a shard; raises `ConfigError` for what is none."""
        found = _TEXT.fullmatch(text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(f"shard {text!r} is not I/K with I from 1 to K, for example 1/4")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    @property
    def suffix(self) -> str:
        """What the shard's directory has after the name of the whole run's."""
        return f".shard-{self.index}-of-{self.of}"

    def holds(self, problem_id: str) -> bool:
        """Whether a problem is in this shard."""
        return shard_index(problem_id, self.of) == self.index


def shard_index(problem_id: str, of: int) -> int:
    """The shard, 1 to `of`, of a problem: the first 8 bytes of its id's SHA-256 as a number, modulo `of`, plus 1.

    >>> [shard_index(str(i), 4) for i in range(8)]
    [1, 2, 3, 4, 3, 4, 4, 3]
    """
    digest = hashlib.sha256(problem_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % of + 1
