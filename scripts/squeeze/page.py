"""The claims one by one, with their measurements, and the trajectories behind them: page, CSV and JSON."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bon_eval.dpo.tracking.trajectory import Trajectory, load_trajectory
from bon_eval.report.formats.csv_json import to_csv
from bon_eval.report.formats.figures import save_figure
from bon_eval.report.formats.html import panel, render
from bon_eval.store.files import write_text
from squeeze.claims import ClaimResult, PartResult, decide
from squeeze.kinds import KindRow, kind_rows
from squeeze.numbers import BASE
from squeeze.plan import BASE_REPORT, Cell, Plan
from squeeze.plots import Runs, panel_figures
from squeeze.rules import parse_claims

_MARK = {"holds": "holds", "fails": "the opposite", "open": "open"}
_ONE = "One seed of training: claims are decided for these trainings only, intervals are over problems alone."
Results = dict[str, tuple[ClaimResult, ...]]
"""Model -> every claim."""


@dataclass(frozen=True, slots=True)
class _PartRow:
    """One part of a claim of one model under one condition."""

    model: str
    condition: str
    measure: str
    estimate: str
    ends: str
    """Of the interval, or why there is none."""
    unit: str
    by_seed: str
    claimed: str
    outcome: str


@dataclass(frozen=True, slots=True)
class _Claim:
    """One claim about all models."""

    id: str
    text: str
    quote: str
    source: str
    refuted: str
    verdicts: Sequence[tuple[str, str]]
    """(model, verdict)."""
    rows: Sequence[_PartRow]


def write_page(plan: Plan, out: Path, seconds: float | None) -> str:
    """Write squeeze.html, claims.csv, claims.json, trajectories.csv and figures/; returns the verdicts as text."""
    runs = load_runs(plan)
    results = decide_all(plan, runs)
    out.mkdir(parents=True, exist_ok=True)
    (out / "figures").mkdir(exist_ok=True)
    panels = []
    for stem, title, figure in panel_figures(runs, plan.content["figures"]):
        save_figure(figure, out / "figures", stem)
        (out / "figures" / f"{stem}.svg").unlink()
        panels.append(panel(figure, stem, title))
    write_text(out / "trajectories.csv", to_csv(_trajectory_rows(plan, runs)))
    write_text(out / "claims.csv", to_csv(_claim_rows(results)))
    facts = _facts(plan, runs, seconds)
    kinds = list(kind_rows(plan, runs))
    content = {
        "facts": facts,
        "conditions": plan.content,
        "pairs": [asdict(row) for row in kinds],
        "claims": list(_claim_rows(results)),
    }
    write_text(out / "claims.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    values = {
        "title": "Squeezing and sharpening through DPO",
        "summary": facts["summary"],
        "one_seed": _ONE if len(plan.seeds) == 1 else "",
        "models": tuple(results),
        "kinds": [_kind(row) for row in kinds],
        "n": plan.content["n"],
        "claims": [_claim(id_, results) for id_ in dict.fromkeys(c.claim.id for cs in results.values() for c in cs)],
        "panels": panels,
        "conditions": plan.path.read_text(encoding="utf-8"),
    }
    for model in plan.models:
        copy_report(plan, model, out)
    write_text(out / "squeeze.html", render("squeeze.html.jinja", values, folder=Path(__file__).parent))
    return verdicts(results, facts)


def decide_all(plan: Plan, runs: Runs) -> Results:
    """Every claim about every model, by those of its conditions that the model is trained under."""
    claims = parse_claims(plan.content["claims"])
    return {
        model: decide(
            [c for claim in claims if (c := claim.among({*conditions, BASE})).conditions], conditions, plan.own()
        )
        for model, conditions in runs.items()
    }


def copy_report(plan: Plan, model: str, out: Path) -> None:
    """The base model's own report beside the page, without its responses, where the plan has one."""
    if (report := plan.pool(model, BASE_REPORT)).exists():
        ignored = shutil.ignore_patterns("responses", "run.json", "run.lock", "*.parquet", "*.log")
        shutil.copytree(report, out / BASE_REPORT, ignore=ignored, dirs_exist_ok=True)


def load_runs(plan: Plan) -> Runs:
    """Model -> condition -> a trajectory for each seed."""
    return {
        model: {
            condition: [_load(plan, Cell(model, condition, seed)) for seed in plan.seeds]
            for condition in plan.of(model)
        }
        for model in plan.models
    }


def verdicts(results: Results, facts: dict[str, Any]) -> str:
    """The verdicts for the terminal."""
    lines = [facts["summary"], *([_ONE] if len(facts["seeds"]) == 1 else ()), ""]
    width = max(len(model) for model in results)
    for id_, text in {c.claim.id: c.claim.text for claims in results.values() for c in claims}.items():
        lines.append(f"({id_}) {text}")
        for model, claims in results.items():
            for found in claims:
                if found.claim.id == id_:
                    conditions = ", ".join(f"{name} {_MARK[o]}" for name, o in found.by_condition.items())
                    lines.append(f"    {model:{width}}  {found.verdict} ({conditions})")
    return "\n".join(lines)


def _load(plan: Plan, cell: Cell) -> Trajectory:
    return load_trajectory(plan.track(cell), intervals=False)


def _facts(plan: Plan, runs: Runs, seconds: float | None) -> dict[str, Any]:
    first = next(iter(next(iter(runs.values())).values()))[0]
    training = plan.content["training"]
    return {
        "summary": f"{len(plan.cells())} trainings ({len(plan.content['conditions'])} conditions, "
        f"{len(plan.models)} model{'s' if len(plan.models) > 1 else ''}, {len(plan.seeds)} "
        f"seed{'s' if len(plan.seeds) > 1 else ''}; learning rate {training['learning_rate']:g}, {training['steps']} "
        f"steps), each followed on {first.n_problems} held-out problems x {first.n} samples.",
        "seconds": None if seconds is None else round(seconds),
        "versions": first.base["versions"],
        "engine": first.base["engine"],
        "seeds": list(plan.seeds),
    }


def _claim(id_: str, results: Results) -> _Claim:
    found = {model: c for model, claims in results.items() for c in claims if c.claim.id == id_}
    claim = next(iter(found.values())).claim
    return _Claim(
        id=claim.id,
        text=claim.text,
        quote=claim.quote,
        source=claim.source,
        refuted=claim.refuted,
        verdicts=[(model, found[model].verdict if model in found else "–") for model in results],
        rows=[_part_row(model, part) for model, result in found.items() for part in result.parts],
    )


def _kind(row: KindRow) -> tuple[str, ...]:
    shares = (row.chosen_in_pool, row.chosen_is_best, row.rejected_in_pool, row.ranking_accuracy)
    texts = [f"{100 * share:.0f} %" for share in shares]
    return (row.model, row.kind, str(row.pairs), *texts[:3], f"{row.chosen:.1f}", f"{row.rejected:.1f}", texts[3])


def _part_row(model: str, part: PartResult) -> _PartRow:
    return _PartRow(
        model=model,
        condition=part.condition,
        measure=("change of " if part.part.what == "change" else "") + part.label,
        estimate=_number(part.value.estimate, part),
        ends=_ends(part),
        unit=part.unit,
        by_seed=", ".join(_number(x, part) for x in part.by_seed),
        claimed=part.part.threshold(),
        outcome=_MARK[part.outcome] + (f" ({part.note})" if part.note else ""),
    )


def _ends(part: PartResult) -> str:
    if math.isnan(part.value.low):
        return f"({part.value.method.replace('none', 'no interval')})"
    return f"[{_number(part.value.low, part)}, {_number(part.value.high, part)}]" + ("†" if part.value.marked else "")


def _number(value: float, part: PartResult) -> str:
    sign = "+" if part.part.what == "change" or part.part.minus is not None else ""
    return f"{value:{sign}.3f}"


def _claim_rows(results: Results) -> Iterator[dict[str, object]]:
    for model, claims in results.items():
        for found in claims:
            for part in found.parts:
                yield {
                    "claim": found.claim.id,
                    "model": model,
                    "verdict": found.verdict,
                    "condition": part.condition,
                    "shown": found.by_condition[part.condition],
                    "what": part.part.what,
                    "measure": part.part.measure,
                    "when": part.part.when,
                    "minus": "" if part.part.minus is None else " ".join(part.part.minus),
                    "unit": part.unit,
                    "estimate": part.value.estimate,
                    "low": None if math.isnan(part.value.low) else part.value.low,
                    "high": None if math.isnan(part.value.high) else part.value.high,
                    "method": part.value.method,
                    "by_seed": " ".join(f"{x:.6g}" for x in part.by_seed),
                    "claimed": part.part.threshold(),
                    "outcome": part.outcome,
                    "note": part.note,
                }


def _trajectory_rows(plan: Plan, runs: Runs) -> Iterator[dict[str, object]]:
    every = [t for conditions in runs.values() for ts in conditions.values() for t in ts]
    names = dict.fromkeys(name for t in every for columns in t.columns.values() for name in columns)
    for model, conditions in runs.items():
        for condition, trajectories in conditions.items():
            for seed, trajectory in zip(plan.seeds, trajectories, strict=True):
                for step, columns in trajectory.columns.items():
                    means = {n: f"{float(columns[n].values.mean()):.6g}" if n in columns else "" for n in names}
                    yield {"model": model, "condition": condition, "seed": seed, "step": step} | means
