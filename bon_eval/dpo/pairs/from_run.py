"""Preference pairs from stored runs: their pools, grades and prompts, without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from bon_eval.dpo.pairs.build import build_pairs
from bon_eval.dpo.pairs.candidates import Candidate, CandidatePool
from bon_eval.dpo.pairs.files import Pair, Text
from bon_eval.dpo.pairs.recipes import PairOptions, check_options, order_of
from bon_eval.dpo.pairs.solutions import run_solutions
from bon_eval.dpo.pairs.stored_pools import answer_numbers, right_numbers, stored_candidates, usual_end
from bon_eval.errors import ConfigError
from bon_eval.records import Problem
from bon_eval.store.imported.source import check_own_tokens, check_there, has_own_tokens
from bon_eval.store.prompts import load_rendered_prompts
from bon_eval.store.reader import Run, load_run
from bon_eval.tasks.prompts import RenderedPrompt

PairFormat = Literal["plain", "conversational"]
"""TRL's formats: texts, or messages."""


@dataclass(frozen=True, slots=True)
class RunPairs:
    """What a recipe made of a run."""

    pairs: tuple[Pair, ...]
    """In task order."""
    skipped: Mapping[str, tuple[str, ...]]
    """Reason -> problems that gave fewer pairs than asked for, in task order."""
    n_problems: int
    n_responses: int
    n_truncated: int
    """Of `n_responses`; they are never used."""
    trained: Run
    """Of the model that the pairs are for."""


@dataclass(frozen=True, slots=True)
class _Home:
    """The run of the model that the pairs are for: its prompts, and how its responses end."""

    run: Run
    heads: Mapping[str, tuple[Text, tuple[int, ...] | None]]
    solutions: Mapping[str, str]
    right: Mapping[str, Fraction]
    end_token_id: int | None
    stop: tuple[str, ...]


def pairs_of_run(
    path: Path,
    recipe: str,
    options: PairOptions,
    *,
    form: PairFormat = "plain",
    task: str | None = None,
    trained: Path | None = None,
    rejected: Path | None = None,
) -> RunPairs:
    """Build a recipe's pairs from the pool and the grades of a stored run.

    Plain: the prompt is the text that the model was prompted with, chat template included. Conversational: the
    messages of a chat-style run; of a plain-style run one user message with the prompt's text, stripped, whose tokens
    are then the tokenizer's business. Prompts, and the token that closes a response which is not sampled, are those of
    the trained model's run. Its own responses keep their token ids, in both forms; responses of other runs are texts
    alone, since another tokenizer's ids would be other words.

    Args:
        path: the run directory.
        recipe: a name in `RECIPES`.
        options: see `PairOptions`.
        form: of prompt, chosen and rejected.
        task: name or YAML file of the run's task, for `gold-sample`; None: the task of that name that comes with
            bon-eval, if it is the one that the run was made with.
        trained: a run of the model that is to be trained on the same problems; None: `path` is one.
        rejected: a run on the same problems whose pool is rejected from; None: `path`.

    Raises:
        ConfigError: options that do not fit the recipe, runs that give one id to two problems, a chat-style run
            without stored messages in conversational form, right answers that are no numbers in the order by distance,
            or not a single pair.
        TaskError: a task that does not state its solution as a response, or that is not the run's.
        StoreError: as `load_run` does.
    """
    check_options(recipe, options, two_pools=rejected is not None)
    if task is not None and recipe != "gold-sample":
        raise ConfigError(f"a task was given for recipe {recipe}; only gold-sample reads the task")
    runs: dict[Path, Run] = {}
    for place in (path, trained or path, rejected or path):
        if place.resolve() not in runs:
            runs[place.resolve()] = load_run(place)
    if order_of(recipe, options) == "likelihood":
        for place, loaded in runs.items():
            check_there(place, loaded.meta, ["log_likelihood"], f"recipe {recipe}")
    run, other = runs[path.resolve()], None if rejected is None else runs[rejected.resolve()]
    home = _home(runs[(trained or path).resolve()], recipe, options, form, task)
    sources = [run] if other is None else [run, other]
    problems = [p.id for p in run.problems]
    missing: dict[str, tuple[str, ...]] = {}
    for there in dict.fromkeys((home.run, *sources[1:])):
        missing |= _missing(run, there)
    gone = {problem for ids in missing.values() for problem in ids}
    distance = order_of(recipe, options) == "distance"
    pairs, skipped = build_pairs(_pools(sources, home, gone, distance=distance), recipe, options)
    skipped = missing | skipped
    place_of = {problem: i for i, problem in enumerate(problems)}
    if not pairs:
        reasons = "; ".join(f"{reason} ({len(ids)} of {len(place_of)} problems)" for reason, ids in skipped.items())
        raise ConfigError(
            f"{recipe} builds no pair from {path}: {reasons}; ask for less or use another recipe or a larger run"
        )
    return RunPairs(
        # Sorting is stable: the pairs of a problem keep their order.
        pairs=tuple(sorted(pairs, key=lambda pair: place_of[pair.problem_id])),
        skipped={reason: tuple(sorted(ids, key=place_of.__getitem__)) for reason, ids in skipped.items()},
        n_problems=len(place_of),
        n_responses=sum(source.pool.correct.size for source in sources),
        n_truncated=sum(int(source.pool.truncated.sum()) for source in sources),
        trained=home.run,
    )


def _home(run: Run, recipe: str, options: PairOptions, form: PairFormat, task: str | None) -> _Home:
    prompts = load_rendered_prompts(run.path)
    if not has_own_tokens(run.meta):
        if form == "conversational":
            check_own_tokens(run.path, run.meta, "--format conversational")
        texts: dict[str, tuple[Text, tuple[int, ...] | None]] = {p: (found.text, None) for p, found in prompts.items()}
        right = right_numbers(run) if order_of(recipe, options) == "distance" else {}
        solutions = run_solutions(run, prompts, task, strip=False) if recipe == "gold-sample" else {}
        return _Home(run=run, heads=texts, solutions=solutions, right=right, end_token_id=None, stop=())
    chat = run.meta["config"]["prompt_style"] == "chat"
    gold = recipe == "gold-sample"
    return _Home(
        run=run,
        heads={problem: _prompt(prompt, form, chat, run.path) for problem, prompt in prompts.items()},
        solutions=run_solutions(run, prompts, task, strip=chat or form == "conversational") if gold else {},
        right=right_numbers(run) if order_of(recipe, options) == "distance" else {},
        end_token_id=usual_end(run),
        stop=tuple(run.meta["config"].get("stop") or ()),
    )


def _missing(run: Run, other: Run) -> dict[str, tuple[str, ...]]:
    """The problems of a run that another lacks, by reason; raises `ConfigError` where one id names two problems."""
    there: dict[str, Problem] = {p.id: p for p in other.problems}
    for problem in run.problems:
        same = there.get(problem.id, problem)
        both = problem.fields.keys() & same.fields.keys()
        if problem.gold != same.gold or any(problem.fields[name] != same.fields[name] for name in both):
            raise ConfigError(
                f"problem {problem.id!r} of {run.path} is another one in {other.path}; pairs of two runs need the same "
                "problems: give both runs the same --task and --data"
            )
    lacking = tuple(p.id for p in run.problems if p.id not in there)
    return {f"not in {other.path}": lacking} if lacking else {}


def _prompt(prompt: RenderedPrompt, form: PairFormat, chat: bool, path: Path) -> tuple[Text, tuple[int, ...] | None]:
    if form == "plain":
        return prompt.text, prompt.token_ids
    if not chat:
        # The chat template puts other tokens around it than the run's prompt had.
        return ({"role": "user", "content": prompt.text.strip()},), None
    if prompt.messages is None:
        raise ConfigError(f"{path} was stored before runs kept their messages; use --format plain, or run it again")
    return prompt.messages, prompt.token_ids


def _pools(sources: Sequence[Run], home: _Home, gone: set[str], *, distance: bool) -> Iterator[CandidatePool]:
    """The pools of a run one at a time, each with the pool of the second run, if any, to reject from."""

    def candidates(run: Run) -> Iterator[tuple[str, tuple[Candidate, ...]]]:
        numbers = answer_numbers(run) if distance else None
        own = run is home.run and has_own_tokens(run.meta)
        return stored_candidates(run, token_ids=own, numbers=numbers)

    # The second run's pools are held: the runs were stored in different order.
    others = dict(candidates(sources[1])) if len(sources) > 1 else {}
    for problem, pool in candidates(sources[0]):
        if problem not in gone:
            prompt, token_ids = home.heads[problem]
            yield CandidatePool(
                problem,
                prompt,
                pool,
                token_ids,
                home.solutions.get(problem),
                right=home.right.get(problem),
                others=others.get(problem),
                end_token_id=home.end_token_id,
                stop=home.stop,
            )
