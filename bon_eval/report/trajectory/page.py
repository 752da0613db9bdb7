"""trajectory.html and its figures, in the style of report.html; without texts and without a script."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from bon_eval.dpo.tracking.measures import PAIR_MEASURES
from bon_eval.dpo.tracking.trajectory import Point, Trajectory
from bon_eval.report.formats.figures import inline_svg, save_figure
from bon_eval.report.formats.html import configuration, document, interval, table
from bon_eval.report.trajectory.figures import trajectory_figures
from bon_eval.store.files import cannot_write, write_text

PANELS_STYLE = """.panels {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 1.5rem;
}
"""


def write_trajectory_page(found: Trajectory, directory: Path) -> tuple[str, ...]:
    """Write trajectory.html and figures/trajectory_*; returns their names.

    Raises:
        StoreError: a file cannot be written.
    """
    figures = []
    folder = directory / "figures"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    for stem, title, figure in trajectory_figures(found):
        save_figure(figure, folder, stem)
        figures.append(f'<figure role="img" aria-label="{escape(title)}">{inline_svg(figure, stem)}</figure>')
    config = found.base["config"]
    assert isinstance(config, dict)
    title = f"{config['model']} on {config['task']} through training"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{len(found.steps) - 1} checkpoints after step 0, the base model; {found.n_problems} problems '
        f"x {found.n} samples each, engine {escape(str(config['engine']))}. Intervals are 95 % over problems.</p>",
        *(f'<p class="warning">{escape(line)}.</p>' for line in found.skipped),
        "<h2>Panels</h2>",
        '<div class="panels">',
        *figures,
        "</div>",
        "<h2>Every measure</h2>",
        *measure_tables(found),
        "<h2>CHES at the base model</h2>",
        _ches(found),
        "<h2>Definitions</h2>",
        '<dl class="defs">' + "".join(f"<dt>{t}</dt><dd>{d}</dd>" for t, d in _DEFINITIONS) + "</dl>",
        "<h2>Configuration of the base run</h2>",
        "<details><summary>Every resolved parameter, versions, engine facts</summary>",
        *configuration(found.base),
        "</details>",
    ]
    write_text(directory / "trajectory.html", document(title, "\n".join(body), style=PANELS_STYLE))
    return "trajectory.html", "figures/"


def measure_tables(found: Trajectory) -> Iterator[str]:
    """A row for each measure, a column for each checkpoint, in groups."""
    suffixes = {f"{group}.{name}": f" ({group})" for group in found.pair_counts for name in PAIR_MEASURES}
    captions = {f"{group}.{name}": f"Pairs: {group}" for group in found.pair_counts for name in PAIR_MEASURES}
    captions |= {f"{name}.log_likelihood": "Probes" for name in found.probe_counts}
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(p.name for p in found.points):
        groups.setdefault(captions.get(name, "Arms, likelihoods and spread"), []).append(name)
    points = {(p.step, p.name): p for p in found.points}
    for caption, names in groups.items():
        rows = []
        for name in names:
            first = next(points[s, name] for s in found.steps if (s, name) in points)
            cells = [_cell(points.get((step, name))) for step in found.steps]
            label = first.label.removesuffix(suffixes.get(name, ""))
            rows.append((escape(label), "%" if first.unit == "share" else escape(first.unit), *cells))
        heads = ("measure", "unit", *(f"step {step}" for step in found.steps))
        yield table(heads, rows, caption=caption)


def _cell(point: Point | None) -> str:
    if point is None:
        return "-"
    scale, digits = (100.0, 1) if point.unit == "share" else (1.0, 3 if point.unit == "nats per token" else 2)
    mark = ""
    if point.change is not None and (point.change.low > 0 or point.change.high < 0):
        mark = " ↑" if point.change.low > 0 else " ↓"
    return interval(point.value, scale, digits) + mark


def _ches(found: Trajectory) -> str:
    rows = [
        (escape(name), interval(plain, 1.0, 1), interval(per_token, 1.0, 2))
        for name, (plain, per_token) in found.ches.items()
    ]
    if not rows:
        return '<p class="soft">No pairs were given.</p>'
    return table(("pairs", "CHES", "length-normalised"), rows, caption="Higher predicts more likelihood displacement.")


_DEFINITIONS = (
    ("↑ ↓", "The change from step 0, paired by problem, has a 95 % interval on that side of 0."),
    (
        "ranking accuracy",
        "Share of pairs with pi(chosen) at least pi(rejected) (Chen et al. 2024, arXiv 2405.19534). Reward accuracy "
        "asks for a positive margin against the base model instead, and is 0 at the base model itself.",
    ),
    (
        "argmax along the chosen prefix",
        "Sum of the log-probs of the most likely token at each position of chosen: the y* proxy of Ren &amp; "
        "Sutherland 2024 (arXiv 2407.10490). Mass outside it is 1 - max p, saturated positions left out before the "
        "logarithm.",
    ),
    (
        "CHES",
        "Centred hidden embedding similarity of Razin et al. 2024 (arXiv 2410.08847) from the base model's last layer.",
    ),
    (
        "pairs of one problem",
        "Problems are the sampling unit. Where problems have unequal numbers of pairs, means are over pairs and their "
        "intervals by linearisation over problems.",
    ),
)
