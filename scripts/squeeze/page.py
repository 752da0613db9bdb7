"""The claims one by one, with their measurements, and the trajectories behind them: page, CSV and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.dpo.tracking.trajectory import Trajectory, load_trajectory
from bon_eval.report.formats.csv_json import to_csv
from bon_eval.report.formats.figures import save_figure
from bon_eval.report.formats.html import panel, render
from bon_eval.store.files import write_text
from squeeze.claims import ClaimResult, PartResult, decide, parse_claims
from squeeze.plan import Cell, Plan, settings_text
from squeeze.plots import Runs, panel_figures

_MARK = {"holds": "holds", "fails": "the opposite", "open": "open"}
_ONE = "One seed of training: claims are decided for these trainings only, intervals are over problems alone."
Results = dict[str, tuple[ClaimResult, ...]]
"""Setting -> every claim."""


@dataclass(frozen=True, slots=True)
class _PartRow:
    """One part of a claim in one setting."""

    setting: str
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
    """One claim over all settings."""

    id: str
    text: str
    verdicts: Sequence[tuple[str, str]]
    """(setting, verdict)."""
    rows: Sequence[_PartRow]


def write_page(plan: Plan, out: Path, seconds: float | None) -> str:
    """Write squeeze.html, claims.csv, claims.json, trajectories.csv and figures/; returns the verdicts as text."""
    runs = load_runs(plan)
    claims = parse_claims(plan.content["claims"])
    results: Results = {s: decide(claims, conditions) for s, conditions in runs.items()}
    out.mkdir(parents=True, exist_ok=True)
    (out / "figures").mkdir(exist_ok=True)
    panels = []
    for stem, title, figure in panel_figures(runs):
        save_figure(figure, out / "figures", stem)
        (out / "figures" / f"{stem}.svg").unlink()
        panels.append(panel(figure, stem, title))
    write_text(out / "trajectories.csv", to_csv(_trajectory_rows(plan, runs)))
    write_text(out / "claims.csv", to_csv(_claim_rows(results)))
    facts = _facts(plan, runs, seconds)
    content = {"facts": facts, "conditions": plan.content, "claims": list(_claim_rows(results))}
    write_text(out / "claims.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    values = {
        "title": f"Squeezing and sharpening through DPO: {plan.content['model']}",
        "summary": facts["summary"],
        "one_seed": _ONE if len(plan.seeds) == 1 else "",
        "settings": tuple(results),
        "claims": [_claim(id_, results) for id_ in claims],
        "panels": panels,
        "conditions": plan.path.read_text(encoding="utf-8"),
    }
    write_text(out / "squeeze.html", render("squeeze.html.jinja", values, folder=Path(__file__).parent))
    return verdicts(results, facts)


def load_runs(plan: Plan) -> Runs:
    """Setting -> condition -> a trajectory for each seed."""
    return {
        setting: {
            condition: [_load(plan, Cell(condition, setting, seed)) for seed in plan.seeds]
            for condition in plan.content["conditions"]
        }
        for setting in plan.content["settings"]
    }


def verdicts(results: Results, facts: dict[str, Any]) -> str:
    """The verdicts for the terminal."""
    lines = [facts["summary"], *([_ONE] if len(facts["seeds"]) == 1 else ()), ""]
    width = max(len(setting) for setting in results)
    for k, first in enumerate(next(iter(results.values()))):
        lines.append(f"({first.id}) {first.text}")
        lines += [f"    {setting:{width}}  {claims[k].verdict}" for setting, claims in results.items()]
    return "\n".join(lines)


def _load(plan: Plan, cell: Cell) -> Trajectory:
    return load_trajectory(plan.work / "tracks" / cell.name, intervals=False)


def _facts(plan: Plan, runs: Runs, seconds: float | None) -> dict[str, Any]:
    first = next(iter(next(iter(runs.values())).values()))[0]
    meta = first.base
    return {
        "summary": f"{len(plan.cells())} trainings ({len(plan.content['conditions'])} conditions, "
        f"{len(plan.seeds)} seed{'s' if len(plan.seeds) > 1 else ''}; {'; '.join(settings_text(plan.content))}), each "
        f"followed on {first.n_problems} held-out problems x {first.n} samples.",
        "seconds": None if seconds is None else round(seconds),
        "versions": meta["versions"],
        "engine": meta["engine"],
        "seeds": list(plan.seeds),
    }


def _claim(id_: str, results: Results) -> _Claim:
    found = {setting: next(c for c in claims if c.id == id_) for setting, claims in results.items()}
    return _Claim(
        id=id_,
        text=next(iter(found.values())).text,
        verdicts=[(setting, claim.verdict) for setting, claim in found.items()],
        rows=[_part_row(setting, part) for setting, claim in found.items() for part in claim.parts],
    )


def _part_row(setting: str, part: PartResult) -> _PartRow:
    return _PartRow(
        setting=setting,
        measure=_what(part),
        estimate=_number(part.value.estimate, part),
        ends=_ends(part),
        unit=part.unit,
        by_seed=", ".join(_number(x, part) for x in part.by_seed),
        claimed=part.part.threshold(),
        outcome=_MARK[part.outcome] + (f" ({part.note})" if part.note else ""),
    )


def _what(part: PartResult) -> str:
    change = "change of " if part.part.what == "change" else ""
    return f"{part.part.condition}: {change}{part.label}"


def _ends(part: PartResult) -> str:
    if math.isnan(part.value.low):
        return f"({part.value.method.replace('none', 'no interval')})"
    return f"[{_number(part.value.low, part)}, {_number(part.value.high, part)}]" + ("†" if part.value.marked else "")


def _number(value: float, part: PartResult) -> str:
    sign = "+" if part.part.what == "change" else ""
    return f"{value:{sign}.3f}"


def _claim_rows(results: Results) -> Iterator[dict[str, object]]:
    for setting, claims in results.items():
        for claim in claims:
            for part in claim.parts:
                yield {
                    "claim": claim.id,
                    "setting": setting,
                    "verdict": claim.verdict,
                    "condition": part.part.condition,
                    "what": part.part.what,
                    "measure": part.part.measure,
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
    for setting, conditions in runs.items():
        for condition, trajectories in conditions.items():
            for seed, trajectory in zip(plan.seeds, trajectories, strict=True):
                for step, columns in trajectory.columns.items():
                    means = {name: f"{float(column.values.mean()):.6g}" for name, column in columns.items()}
                    yield {"setting": setting, "condition": condition, "seed": seed, "step": step} | means
