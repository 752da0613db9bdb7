"""A stored run in, tables out. No model is touched.

All randomness (bootstrap, signs of families, vote subsets, random scorer) comes from one seed. Beside this
module `arms` computes intervals and tests, `tables` makes the rows, `explain` says what explains the lift, `unrun_arms`
what arms that were not run would give, `compute` what all of them cost in tokens, `variants` repeats the arms table
under other rules, and `results` says what all of them are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bon_eval.analysis import tables
from bon_eval.analysis.arms import compute_cells, compute_data
from bon_eval.analysis.compute import compute_rows
from bon_eval.analysis.curves import curve_points
from bon_eval.analysis.draws.arms import draw_curves, draw_facts
from bon_eval.analysis.draws.pairs import draw_pairs
from bon_eval.analysis.draws.values import draw_values, pool_values
from bon_eval.analysis.explain import explain
from bon_eval.analysis.families import arm_pairs, selected_scorer
from bon_eval.analysis.levels.compute import levels
from bon_eval.analysis.responses import Array, Drawn, Responses
from bon_eval.analysis.results import Analysis
from bon_eval.analysis.settings import DEFAULT_SCORERS, Settings, resolve_settings
from bon_eval.analysis.shapes import repeated_prompts, special_in_problems, unknown_tokens
from bon_eval.analysis.unrun_arms import replay
from bon_eval.analysis.variants import variants
from bon_eval.analysis.vote_rules import get_vote
from bon_eval.config import draw_specs
from bon_eval.errors import ConfigError, StoreError
from bon_eval.graders.choice_text import chance_level
from bon_eval.records import Pool, Problem
from bon_eval.scorers import Scorer, get_scorer
from bon_eval.stats.clusters import clusters_of
from bon_eval.store.extent import session_extents
from bon_eval.tasks.ends import unclosed


class AnalysedRun(Protocol):
    """What `analyse` reads of a run; `bon_eval.store.reader.Run` is one."""

    @property
    def meta(self) -> Mapping[str, object]:
        """The stored run.json."""

    @property
    def problems(self) -> Sequence[Problem]:
        """The task's problems that the run was asked for."""

    @property
    def greedy(self) -> Pool:
        """One greedy response of each problem (N = 1)."""

    @property
    def pool(self) -> Pool:
        """The N sampled responses of each problem."""

    @property
    def grader(self) -> Mapping[str, str]:
        """``name`` and ``version`` of the grader whose verdicts the pools hold."""


def analyse(
    run: AnalysedRun,
    *,
    scorers: Sequence[str] = DEFAULT_SCORERS,
    votes: Sequence[str] = (),
    ns: Sequence[int] | None = None,
    seed: int = 0,
    draws: int = 10_000,
    exclude_truncated: bool = False,
    duplicates: Array | None = None,
    margin: float = 0.02,
    looks: int = 1,
    cluster: str | None = None,
) -> Analysis:
    """Arms, curves, problems and facts of one run.

    Args:
        run: the stored run with its grades.
        scorers: names of scorers. The first table rows and the verdicts use ``log_likelihood`` where it is among
            them, else the first.
        votes: names of weighted votes besides the majority vote (see `bon_eval.analysis.vote_rules.get_vote`).
        ns: sizes of best-of-n in the arms table; default `default_ns`, powers of two and N. The largest is the n of
            the other scorers, the vote, the oracle and the verdicts.
        seed: of all randomness, >= 0.
        draws: bootstrap resamples of problems per interval.
        exclude_truncated: analyse only the problems of which no response, greedy or sampled, was truncated. A
            truncated response has an inflated log-likelihood, and dropping it alone would leave pools of unequal N
            and a greedy arm without an answer; leaving out the whole problem keeps every arm on the same problems
            and the same N. Problems whose answers run long are rarer among those that are left, so the accuracies
            describe the easier part of the task: compare arms within the table, not with the table of all problems.
            `Analysis.n_excluded` says how many were left out.
        duplicates: (P,) in the order of ``run.pool``: share of each pool that repeats an earlier text; optional,
            since pools hold no texts.
        margin: difference in accuracy, as a fraction, below which two arms are as good as the same.
        looks: planned looks at the run while it grows, this one included. Verdicts are at 5 % / looks (Bonferroni), so
            that all looks together err in 5 %; of an unfinished run there is none without planned looks, since
            seven looks at 5 % each err in 20 %.
        cluster: column of the task whose equal values mark problems that share a source, and are resampled together;
            default: the one that the run's task names, if any.

    Raises:
        ConfigError: an unknown scorer, n < 1 or larger than the pool, a negative seed, no problem left.
        StoreError: greedy responses, pool and problems do not cover the same problem ids.
    """
    settings = resolve_settings(
        run.pool.n,
        len(run.pool.problem_ids),
        scorers=scorers,
        votes=votes,
        ns=ns,
        seed=seed,
        draws=draws,
        exclude_truncated=exclude_truncated,
        margin=margin,
        looks=looks,
        cluster=cluster or _mapping(run.meta, "config").get("cluster"),
        partial=len(run.problems) > len(run.pool.problem_ids) or run.meta.get("state") == "sampling",
    )
    responses = _responses(run, settings, duplicates)
    if settings.exclude_truncated:
        responses = responses.take(responses.untruncated())
        if not responses.golds:
            raise ConfigError(
                "every problem has a truncated response, so none is left without; sample again with more --max-tokens"
            )
    data = compute_data(responses, settings, curves=True)
    specs = draw_specs(_mapping(run.meta, "config")) if responses.others else ()
    found = draw_values(data, settings, curves=True)
    drawn = draw_facts(data, settings, specs, found)
    cells = compute_cells(data, settings)
    others, reasons = variants(responses, settings, specs)
    greedy = cells.accuracy["greedy"].estimate
    arms = tables.arm_rows(data, settings, cells)
    pairs = arm_pairs(data, settings, cells, arms)
    replayed = replay(data, settings, _mapping(run.meta, "config").get("temperature"))
    return Analysis(
        run=run_facts(run),
        settings=settings,
        pool_size=run.pool.n,
        n_problems=len(responses.golds),
        n_clusters=None if responses.clusters is None else int(responses.clusters.max()) + 1,
        n_excluded=len(run.pool.problem_ids) - len(responses.golds),
        n_missing=len(run.problems) - len(run.pool.problem_ids),
        arms=arms,
        curves=tuple(curve_points(data, cells.accuracy, cells.lift, greedy)),
        problems=tuple(tables.problem_rows(data, settings)),
        facts=tables.facts(data, settings, cells, arms, pairs, also=_of_prompts(run, settings)),
        explanation=explain(data, settings, cells),
        pairs=pairs,
        selected=selected_scorer(data, settings, cells),
        replayed=replayed,
        compute=compute_rows(data, settings, cells, replayed.stopping, drawn),
        draws=drawn,
        draw_pairs=draw_pairs(data, settings, found),
        draw_curves=draw_curves(found, drawn, greedy),
        draw_problems=(*pool_values(data, settings), *(arm for draw in found for arm in draw.arms)) if found else (),
        variants=others,
        variant_reasons=reasons,
        levels=levels(responses, settings, specs, _mapping(run.meta, "config").get("temperature")),
    )


def run_facts(run: AnalysedRun) -> dict[str, object]:
    """What a report says about the run itself; content hashes stand in the configuration as ``*_hash``."""
    config = _mapping(run.meta, "config")
    sessions = run.meta.get("sessions")
    return {
        "config": config,
        "versions": _mapping(run.meta, "versions"),
        "engine": _mapping(run.meta, "engine"),
        "hashes": {name.removesuffix("_hash"): value for name, value in config.items() if name.endswith("_hash")},
        "state": run.meta.get("state"),
        "sessions": len(sessions) if isinstance(sessions, list) else 0,
        "redrawn": sum(s.get("redrawn", 0) for s in sessions) if isinstance(sessions, list) else 0,
        "extents": session_extents(sessions if isinstance(sessions, list) else []),
        "grader": dict(run.grader),
    } | ({"source": run.meta["source"]} if "source" in run.meta else {})


def _mapping(meta: Mapping[str, object], key: str) -> dict[str, Any]:
    value = meta.get(key)
    if not isinstance(value, dict):
        raise StoreError(f"run.json has no {key!r}; the run was never started or its run.json is damaged")
    return value


def _responses(run: AnalysedRun, settings: Settings, duplicates: Array | None) -> Responses:
    """Everything aligned by problem id, and scored."""
    pool, greedy = run.pool, run.greedy
    gold_of = {problem.id: problem.gold for problem in run.problems}
    greedy_row = {problem_id: row for row, problem_id in enumerate(greedy.problem_ids)}
    for problem_id in pool.problem_ids:
        if problem_id not in greedy_row:
            raise StoreError(f"problem {problem_id!r} has a pool but no greedy response; resume the run to complete it")
        if problem_id not in gold_of:
            raise StoreError(f"problem {problem_id!r} has responses but is not among the run's problems; start a run")
    for problem_id in set(greedy.problem_ids).difference(pool.problem_ids):
        raise StoreError(f"problem {problem_id!r} has a greedy response but no pool; resume the run to complete it")
    if not pool.problem_ids:
        raise ConfigError("the run holds no complete problem yet; resume it, then analyse it")
    if duplicates is not None and duplicates.shape != (len(pool.problem_ids),):
        raise ConfigError(f"duplicates have shape {duplicates.shape}; expected one share for each pool")
    return Responses(
        golds=tuple(gold_of[problem_id] for problem_id in pool.problem_ids),
        greedy=greedy.take([greedy_row[problem_id] for problem_id in pool.problem_ids]),
        pool=pool,
        scores={name: scores_of(get_scorer(name, seed=settings.seed), pool) for name in settings.scorers},
        duplicates=duplicates,
        clusters=None if settings.cluster is None else clusters_of(run.problems, pool.problem_ids, settings.cluster),
        others=_others(run, settings, pool),
        chance=chance_levels(run, [gold_of[problem_id] for problem_id in pool.problem_ids]),
        vote_scores={
            name: get_scorer(name, seed=settings.seed).over(pool)
            for name in dict.fromkeys(get_vote(vote).scorer for vote in settings.votes)
        },
    )


def _others(run: AnalysedRun, settings: Settings, pool: Pool) -> dict[str, Drawn]:
    """The other draws, where the run has any."""
    found: dict[str, Drawn] = {}
    duplicates: Mapping[str, Array] = getattr(run, "other_duplicates", {})
    for name, drawn in getattr(run, "others", {}).items():
        if drawn.problem_ids != pool.problem_ids:
            raise StoreError(f"draw {name!r} does not cover the problems of the pool; resume the run to complete it")
        found[name] = Drawn(
            pool=drawn,
            scores={scorer: scores_of(get_scorer(scorer, seed=settings.seed), drawn) for scorer in settings.scorers},
            vote_scores={
                scorer: get_scorer(scorer, seed=settings.seed).over(drawn)
                for scorer in dict.fromkeys(get_vote(vote).scorer for vote in settings.votes)
            },
            duplicates=duplicates.get(name),
        )
    return found


def chance_levels(run: AnalysedRun, golds: Sequence[str]) -> Array | None:
    """As the task states it, else by the grader of the grades and each problem's own options; None where it is 0."""
    stated = _mapping(run.meta, "config").get("chance")
    levels = (chance_level(run.grader.get("name", ""), gold) if stated is None else stated for gold in golds)
    found = np.array([math.nan if level is None else level for level in levels], dtype=np.float64)
    return found if found.any() else None


def _of_prompts(run: AnalysedRun, settings: Settings) -> Iterator[str]:
    """Cautions about the prompts, of what the run noted of them; an older one noted less."""
    noted = run.meta.get("tokenizer")
    if not isinstance(noted, Mapping):
        return
    yield from unknown_tokens(noted.get("prompts_with_unknown", 0))
    yield from special_in_problems(noted.get("problems_with_special", 0))
    if settings.cluster is None:
        yield from repeated_prompts(noted.get("repeated_prompts", 0))
    yield from unclosed(noted.get("open_turn"))


def scores_of(scorer: Scorer, pool: Pool) -> Array:
    """Of a blind scorer all alike: ties share, so that best-of-n by it is its expectation and no one draw of it."""
    return np.zeros(pool.log_likelihood.shape) if scorer.blind else scorer.over(pool)
