"""What a run will cost, before a GPU is booked: requests, tokens, hours, disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bon_eval.config import shard_index
from bon_eval.draws import GREEDY, SAMPLE
from bon_eval.errors import ConfigError, StoreError
from bon_eval.records import Draw
from bon_eval.store import parts
from bon_eval.store.extent import Held
from bon_eval.store.imported.source import check_there
from bon_eval.store.reader import stored_parts
from bon_eval.store.writer import read_meta

BYTES_PER_TOKEN = 7.0
"""Of a stored response where no run says better: 4 for the log-prob, the rest for id, text and everything else."""


@dataclass(frozen=True, slots=True)
class Job:
    """One task as it will be sampled."""

    task: str
    problem_ids: tuple[str, ...]
    prompt_tokens: tuple[int, ...]
    """Of each problem's prompt."""
    draws: Mapping[Draw, int]
    """Responses per problem of each draw, those of greedy and the pool among them."""
    max_tokens: int
    stored: Held = field(default_factory=Held)
    """What a run that grows holds already."""

    @property
    def per_problem(self) -> int:
        """Responses to each problem."""
        return sum(self.draws.values())

    def owed(self) -> list[tuple[int, int]]:
        """Of each problem, the requests and the responses that are still to be sampled."""
        found = []
        for problem in self.problem_ids:
            missing = [len(self.stored.missing(problem, draw, n)) for draw, n in self.draws.items()]
            found.append((sum(map(bool, missing)), sum(missing)))
        return found

    @property
    def sizes(self) -> str:
        """The draws in words, without greedy.

        >>> Job("t", (), (), {"greedy": 1, "sample": 32, "low": 8}, 9).sizes
        'n 32, low 8'
        """
        return ", ".join(f"{'n' if draw == SAMPLE else draw} {n}" for draw, n in self.draws.items() if draw != GREEDY)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and where it comes from."""

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Rates:
    """What is known about model and machine; None where nothing is."""

    tokens_per_second: Figure | None = None
    """Generated tokens, by the whole engine under load."""
    response_tokens: Figure | None = None
    """Mean length of a response."""
    response_bytes: Figure | None = None
    """On disk."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The cost of one or several tasks together."""

    problems: int
    """Of which a response is still to be sampled, as all below."""
    requests: int
    """One of each draw for a problem."""
    responses: int
    stored: int
    """Responses that a run that grows holds already; they count in nothing else."""
    prompt_tokens: int
    """Read by the engine: each request's prompt once, since the samples of a pool share it."""
    longest_prompt: int
    most_tokens: int
    """Generated where every response is cut."""
    tokens: Figure
    """Expected to be generated."""
    hours: Figure | None
    """None where no speed is known."""
    disk_bytes: Figure
    shards: int
    largest_shard: int
    """Problems of the largest shard."""
    shard_hours: float | None
    """Of the largest shard, on an engine of its own."""


def make_plan(jobs: Sequence[Job], rates: Rates, shards: int = 1) -> Plan:
    """Add up what the jobs ask for.

    Raises:
        ConfigError: no problem, fewer than one shard, response or token, or a rate or length that is not above 0.
    """
    if not any(job.problem_ids for job in jobs):
        raise ConfigError("there is no problem to plan for")
    if shards < 1:
        raise ConfigError(f"--shards must be at least 1, got {shards}")
    for job in jobs:
        if (n := job.draws[SAMPLE]) < 1 or job.max_tokens < 1:
            name, value = ("--n", n) if n < 1 else ("--max-tokens", job.max_tokens)
            raise ConfigError(f"{name} must be at least 1, got {value}")
    given = (("tokens per second", rates.tokens_per_second), ("tokens per response", rates.response_tokens))
    for name, figure in given:
        if figure is not None and not 0 < figure.value < float("inf"):
            raise ConfigError(f"{name} must be above 0, got {figure.value:g}")
    owed = [job.owed() for job in jobs]
    sampled = [sum(responses for _, responses in of_job) for of_job in owed]
    most = sum(count * job.max_tokens for job, count in zip(jobs, sampled, strict=True))
    mean = rates.response_tokens
    if mean is None:
        tokens = Figure(most, "at most; no length is known")
    else:
        # A response is never longer than the task allows.
        expected = sum(count * min(mean.value, job.max_tokens) for job, count in zip(jobs, sampled, strict=True))
        tokens = Figure(expected, f"{mean.value:,.1f} a response, {mean.source}")
    speed = rates.tokens_per_second
    hours = (
        None
        if speed is None
        else Figure(tokens.value / speed.value / 3600, f"at {speed.value:,.0f} generated tokens/s, {speed.source}")
    )
    size = rates.response_bytes
    if size is not None:
        disk = Figure(sum(sampled) * size.value, f"{size.value:,.0f} bytes a response, {size.source}")
    else:
        disk = Figure(tokens.value * BYTES_PER_TOKEN, f"an estimate: {BYTES_PER_TOKEN:g} bytes a token")
    held, work = [0] * shards, [0.0] * shards
    for job, of_job in zip(jobs, owed, strict=True):
        length = job.max_tokens if mean is None else min(job.max_tokens, mean.value)
        for problem, (_, responses) in zip(job.problem_ids, of_job, strict=True):
            shard = shard_index(problem, shards) - 1
            held[shard] += responses > 0
            work[shard] += responses * length
    share = max(work) / sum(work) if sum(work) else 0.0
    by_problem = [pair for of_job in owed for pair in of_job]
    lengths = [tokens for job in jobs for tokens in job.prompt_tokens]
    return Plan(
        problems=sum(responses > 0 for _, responses in by_problem),
        requests=sum(requests for requests, _ in by_problem),
        responses=sum(sampled),
        stored=sum(len(job.problem_ids) * job.per_problem for job in jobs) - sum(sampled),
        prompt_tokens=sum(requests * tokens for (requests, _), tokens in zip(by_problem, lengths, strict=True)),
        longest_prompt=max(
            (tokens for (requests, _), tokens in zip(by_problem, lengths, strict=True) if requests), default=0
        ),
        most_tokens=most,
        tokens=tokens,
        hours=hours,
        disk_bytes=disk,
        shards=shards,
        largest_shard=max(held),
        shard_hours=None if hours is None else hours.value * share,
    )


def sizes_text(jobs: Sequence[Job]) -> str:
    """The draws of all jobs in words, by their tasks where they are not the same for all.

    >>> same, low = {"greedy": 1, "sample": 32}, {"greedy": 1, "sample": 32, "low": 8}
    >>> sizes_text([Job("a", (), (), same, 9), Job("b", (), (), same, 9)])
    'n 32'
    >>> sizes_text([Job("a", (), (), same, 9), Job("b", (), (), low, 9), Job("c", (), (), same, 9)])
    'a and c: n 32; b: n 32, low 8'
    """
    tasks: dict[str, list[str]] = {}
    for job in jobs:
        tasks.setdefault(job.sizes, []).append(job.task)
    if len(tasks) == 1:
        return next(iter(tasks))
    return "; ".join(f"{' and '.join(names)}: {sizes}" for sizes, names in tasks.items())


def measured(path: Path) -> Rates:
    """The rates of a stored run: speed over its sessions, mean response, bytes on disk.

    Raises:
        StoreError: not a run, damaged, or without a response.
    """
    meta = read_meta(path)
    check_there(path, meta, ["n_tokens"], "a plan")
    rows = tokens = 0
    for table in parts.read_parts(stored_parts(path, meta), ["n_tokens"]):
        lengths = table["n_tokens"].to_numpy()
        rows, tokens = rows + len(lengths), tokens + int(lengths.sum())
    if not rows:
        raise StoreError(f"{path} holds no response yet; give --tokens-per-second and --response-tokens instead")
    size = sum(file.stat().st_size for file in (path / "responses").iterdir())
    source = f"measured in {path}"
    timed: list[dict[str, Any]] = [s for s in meta["sessions"] if s.get("tokens") and s.get("seconds")]
    # The sessions of shards ran side by side: the speed is that of one engine.
    seconds = sum(float(s["seconds"]) for s in timed)
    speed = Figure(sum(int(s["tokens"]) for s in timed) / seconds, source) if seconds else None
    return Rates(speed, Figure(tokens / rows, source), Figure(size / rows, source))


def render(title: str, plan: Plan) -> str:
    """The plan as aligned lines."""
    if not plan.requests:
        return f"{title}\n  nothing to sample: all {plan.stored:,} responses are stored\n"
    prompts = f"{plan.prompt_tokens / plan.requests:,.1f} a prompt, the longest {plan.longest_prompt:,}"
    rows = [
        ("problems", f"{plan.problems:,}", "of which responses are missing" if plan.stored else ""),
        ("requests", f"{plan.requests:,}", "one of each draw for a problem"),
        ("responses", f"{plan.responses:,}", f"{plan.stored:,} more are stored and stay" if plan.stored else ""),
        ("prompt tokens", f"{plan.prompt_tokens:,}", prompts),
        ("tokens, at most", f"{plan.most_tokens:,}", "where every response is cut at max tokens"),
        ("tokens, expected", f"{plan.tokens.value:,.0f}", plan.tokens.source),
        (
            "time",
            "unknown" if plan.hours is None else duration(plan.hours.value),
            "give --tokens-per-second, or --like RUN with a small run" if plan.hours is None else plan.hours.source,
        ),
        ("disk", size(plan.disk_bytes.value), plan.disk_bytes.source),
    ]
    if plan.shards > 1:
        share = f"{plan.largest_shard:,} of {plan.problems:,} problems in the largest of {plan.shards}"
        hours = "unknown" if plan.shard_hours is None else duration(plan.shard_hours)
        rows.append(("time of a shard", hours, f"{share}, each on an engine of its own"))
    wide = max(len(value) for _, value, _ in rows)
    return "\n".join([title, *(f"  {name:16}  {value:>{wide}}  {note}".rstrip() for name, value, note in rows)]) + "\n"


def duration(hours: float) -> str:
    """Hours in the unit that fits.

    >>> duration(100.0), duration(2.5), duration(0.05), duration(0.001)
    ('4.2 days', '2.5 h', '3.0 min', '3.6 s')
    """
    for unit, length in (("days", 48.0), ("h", 1.0), ("min", 1 / 60)):
        if hours >= length:
            return f"{hours / {'days': 24.0, 'h': 1.0, 'min': 1 / 60}[unit]:,.1f} {unit}"
    return f"{hours * 3600:,.1f} s"


def size(count: float) -> str:
    """Bytes in the unit that fits.

    >>> size(999), size(1.5e6), size(2.25e12)
    ('999 B', '1.5 MB', '2.2 TB')
    """
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if count < 1000:
            break
        count, unit = count / 1000, larger
    return f"{count:,.0f} B" if unit == "B" else f"{count:,.1f} {unit}"
