"""An imported run that lacks something, analysed as far as it goes: the estimators and tests are those of any run.

Without greedy responses arms are held against one sample; without log-likelihoods there is no best-of-n by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bon_eval.analysis.analyse import chance_levels, run_facts, scores_of
from bon_eval.analysis.arms import CORRECT, Data, compute_data, stream
from bon_eval.analysis.imported.absent import absent_parts, usable
from bon_eval.analysis.imported.arms import imported_arms
from bon_eval.analysis.imported.findings import (
    ImportedAnalysis,
    ImportedArm,
    ImportedPoint,
    ImportedProblem,
    ScorerAuroc,
)
from bon_eval.analysis.levels.compute import levels
from bon_eval.analysis.levels.facts import Levels
from bon_eval.analysis.responses import Array, Responses
from bon_eval.analysis.settings import DEFAULT_SCORERS, Settings, resolve_settings
from bon_eval.analysis.shapes import Histogram, cautions, histogram
from bon_eval.analysis.tables import verdict_sentence
from bon_eval.analysis.vote_rules import get_vote
from bon_eval.errors import ConfigError
from bon_eval.estimators import within_problem_auroc
from bon_eval.scorers import get_scorer
from bon_eval.stats import bootstrap_cis
from bon_eval.stats.clusters import clusters_of
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS
from bon_eval.store.reader import Run

_BLIND = ("random",)
"""What scores stand for where nothing else is there: never an arm of the table."""


def default_scorers(lacking: Mapping[str, str]) -> tuple[str, ...]:
    """The scorers of a report on a run that lacks something, where the user names none."""
    found = usable(DEFAULT_SCORERS, lacking)
    # By length alone nothing is picked but as a control of the likelihoods.
    return found if "log_likelihood" not in lacking else _BLIND


def analyse_imported(
    run: Run,
    *,
    scorers: Sequence[str] = (),
    votes: Sequence[str] = (),
    ns: Sequence[int] | None = None,
    seed: int = 0,
    draws: int = 10_000,
    exclude_truncated: bool = False,
    margin: float = 0.02,
    cluster: str | None = None,
    looks: int = 1,
) -> ImportedAnalysis:
    """Arms, curves, problems and what is not there; arguments as of `bon_eval.analysis.analyse.analyse`.

    Raises:
        ConfigError: as `analyse`; problems without cut responses are asked for where it is not known which were cut.
    """
    lacking = dict(run.pool.absent)
    config = run.meta["config"]
    settings = resolve_settings(
        run.pool.n,
        len(run.pool.problem_ids),
        scorers=scorers or default_scorers(lacking),
        votes=votes,
        ns=ns,
        seed=seed,
        draws=draws,
        exclude_truncated=exclude_truncated,
        margin=margin,
        cluster=cluster or config.get("cluster"),
        looks=looks,
    )
    if exclude_truncated and "truncated" in lacking:
        raise ConfigError(f"which responses were cut is not known ({lacking['truncated']}); drop --exclude-truncated")
    responses = _responses(run, settings)
    if exclude_truncated:
        responses = responses.take(responses.untruncated())
        if not responses.golds:
            raise ConfigError("every problem has a truncated response, so none is left; drop --exclude-truncated")
    data = compute_data(responses, settings, curves=True)
    arms = imported_arms(data, settings, lacking)
    duplicates = responses.duplicates
    assert duplicates is not None
    chance = responses.chance
    return ImportedAnalysis(
        run=run_facts(run),
        settings=settings,
        pool_size=run.pool.n,
        n_problems=len(responses.golds),
        n_clusters=None if responses.clusters is None else int(responses.clusters.max()) + 1,
        n_excluded=len(run.pool.problem_ids) - len(responses.golds),
        arms=arms,
        curves=tuple(_curves(data, settings)),
        problems=tuple(_problems(data, settings, lacking)),
        aurocs=tuple(_aurocs(data, settings)),
        histograms=tuple(_histograms(data, lacking)),
        levels=_levels(responses, settings, lacking, config.get("temperature")),
        absent=absent_parts(lacking, str(run.path)),
        sentences=tuple(_sentences(arms, settings, responses.units)),
        cautions=tuple(_cautions(run, responses, chance)),
        duplicate_share=float(duplicates.mean()),
        chance=0.0 if chance is None else None if np.isnan(chance).any() else float(chance.mean()),
    )


def _responses(run: Run, settings: Settings) -> Responses:
    pool, greedy = run.pool, run.greedy
    golds = {problem.id: problem.gold for problem in run.problems}
    of_pool = [golds[problem] for problem in pool.problem_ids]
    if greedy.problem_ids:
        row_of = {problem: row for row, problem in enumerate(greedy.problem_ids)}
        greedy = greedy.take([row_of[problem] for problem in pool.problem_ids])
    return Responses(
        golds=tuple(of_pool),
        greedy=greedy,
        pool=pool,
        scores={name: scores_of(get_scorer(name, seed=settings.seed), pool) for name in settings.scorers},
        duplicates=run.duplicates,
        clusters=None if settings.cluster is None else clusters_of(run.problems, pool.problem_ids, settings.cluster),
        chance=chance_levels(run, of_pool),
        vote_scores={
            name: get_scorer(name, seed=settings.seed).over(pool)
            for name in dict.fromkeys(get_vote(vote).scorer for vote in settings.votes)
        },
    )


def _curves(data: Data, settings: Settings) -> Iterator[ImportedPoint]:
    for scorer, picks in data.picks.items():
        if not get_scorer(scorer).blind:
            for n, means in picks.means.items():
                yield ImportedPoint(scorer, n, float(means[CORRECT]))
    for n in sorted(data.vote):
        yield ImportedPoint("vote", n, float(data.vote[n].mean()))
    for name, vote in data.weighted.items():
        for n, value in vote.values.items():
            yield ImportedPoint(f"vote {name}", n, float(value.mean()))
    for n, value in data.oracle.items():
        yield ImportedPoint("oracle", n, float(value.mean()))


def _problems(data: Data, settings: Settings, lacking: Mapping[str, str]) -> Iterator[ImportedProblem]:
    responses, last = data.responses, settings.ns[-1]
    pool, greedy = responses.pool, responses.greedy
    picks = {name: p.per_problem[last][CORRECT] for name, p in data.picks.items() if not get_scorer(name).blind}
    for i, problem in enumerate(pool.problem_ids):
        yield ImportedProblem(
            problem_id=problem,
            gold=responses.golds[i],
            greedy_correct=bool(greedy.correct[i, 0]) if greedy.problem_ids else None,
            pool_accuracy=float(pool.correct[i].mean()),
            best_of_n={name: float(values[i]) for name, values in picks.items()},
            vote=float(data.vote[last][i]),
            oracle=float(data.oracle[last][i]),
            best_log_likelihood=None if "log_likelihood" in lacking else float(pool.log_likelihood[i].max()),
            pool_truncated=None if "truncated" in lacking else float(pool.truncated[i].mean()),
            pool_unscored=float(pool.unscored[i].mean()),
        )


def _aurocs(data: Data, settings: Settings) -> Iterator[ScorerAuroc]:
    responses = data.responses
    scores = {name: s for name, s in responses.scores.items() if not get_scorer(name).blind}
    if not scores:
        return
    values = {name: within_problem_auroc(score, responses.pool.correct) for name, score in scores.items()}
    both = ~np.isnan(next(iter(values.values())))
    if np.count_nonzero(both) < LEAST_PROBLEMS:
        return
    found = bootstrap_cis(
        np.column_stack([value[both] for value in values.values()]),
        rng=stream(settings, "auroc"),
        draws=settings.draws,
        confidence=settings.confidence,
        support=(0.0, 1.0),
        clusters=responses.clusters_of(both),
    )
    for name, interval in zip(values, found, strict=True):
        yield ScorerAuroc(name, interval, int(np.count_nonzero(both)))


def _histograms(data: Data, lacking: Mapping[str, str]) -> Iterator[Histogram]:
    pool = data.responses.pool
    if "log_likelihood" in lacking:
        return
    yield histogram("log_likelihood", pool.log_likelihood, pool.correct)
    if "n_tokens" not in lacking:
        yield histogram("mean_log_likelihood", pool.log_likelihood / pool.n_tokens, pool.correct)


def _levels(responses: Responses, settings: Settings, lacking: Mapping[str, str], temperature: float | None) -> Levels:
    """Of greedy responses where there are some, and of the pool."""
    why = [lacking[name] for name in ("log_likelihood", "n_tokens") if name in lacking]
    return Levels(reason="; ".join(why)) if why else levels(responses, settings, (), temperature)


def _sentences(arms: Sequence[ImportedArm], settings: Settings, units: tuple[int, str]) -> Iterator[str]:
    """Whether best-of-n by the primary scorer, or the vote where there is none, beats greedy and one sample."""
    last = settings.ns[-1]
    best = [row for row in arms if row.n == last and (row.arm, row.scorer) == ("best-of-n", settings.primary_scorer)]
    row = (best or [row for row in arms if (row.arm, row.n, row.scorer) == ("vote", last, None)])[0]
    name = f"best-of-{last} by {row.scorer}" if best else f"the vote of {last}"
    for other, test, p_value in (
        ("greedy decoding", row.over_greedy, row.p_over_greedy),
        ("one sample", row.over_sample, row.p_over_sample),
    ):
        if test is not None and p_value is not None:
            yield verdict_sentence(name, other, test, p_value, settings, units, "all arms")[1]


def _cautions(run: Run, responses: Responses, chance: Array | None) -> Iterator[str]:
    """What is odd about the run as a whole."""
    source = run.meta["source"]
    if (smallest := source["smallest_pool"]) != (largest := source["largest_pool"]):
        yield (
            f"the problems have {smallest} to {largest} responses in the source, and the first {smallest} of each are "
            "analysed"
        )
    if source["other_golds"]:
        whose = "the source's" if source["golds"] == "source" else "the task's"
        have = "problem has" if len(source["other_golds"]) == 1 else "problems have"
        others = f"{len(source['other_golds']):,} {have} another gold answer"
        yield f"{others} in the source than in the task; {whose} graded"
    yield from cautions(responses.greedy, responses.pool, responses.units)
    if chance is not None and not np.isnan(chance).any():
        yield f"a guess is right in {100 * chance.mean():.1f} % of cases"
