"""A comparison of several runs for the terminal, as compare.json and as compare.csv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from pathlib import Path

from bon_eval.analysis.several_runs.comparison import OfRun, PairDifference, SeveralComparison
from bon_eval.errors import counted
from bon_eval.estimators.majority_votes import DRAWS
from bon_eval.report.comparison.rows import OF_RUN
from bon_eval.report.comparison.tables import p_text
from bon_eval.report.formats.columns import (
    Column,
    CsvRow,
    Many,
    Row,
    interval,
    limits,
    marked,
    own,
    renamed,
    stamp,
    where_tested,
)
from bon_eval.report.formats.csv_json import document_text, to_csv
from bon_eval.report.formats.text import clusters_text, config_of, ends, model_name, shortened, text_table, wrapped
from bon_eval.stats import PairedTest
from bon_eval.store.files import write_text

FORMAT_VERSION = 1
"""Of the compare.json of several runs."""
_WIDTH = 34
"""Of a run's name in a table."""

_OF_RUN = Row[OfRun]("ofRun", (*own(OfRun, "name", "label", "unit", "run"), *interval(OfRun, "value"), marked("value")))
_PAIR = Row[PairDifference](
    "pairDifference",
    (
        *own(PairDifference, "name", "label", "first", "second", "difference.difference"),
        *limits("difference.", "difference_"),
        *renamed(PairDifference, difference_method="difference.method", contested="difference.n_contested"),
        *where_tested(own(PairDifference, "difference.p_value", "p_holm"), "difference"),
    ),
    finite=True,
)

_FACTS = Row[Mapping[str, object]](
    "",
    tuple(Column(name, kind, itemgetter(name)) for name, kind in OF_RUN.keys.items()),
)

DOCUMENT = Row[SeveralComparison](
    "",
    (
        *stamp("bon-eval comparison of several runs", FORMAT_VERSION),
        *own(SeveralComparison, "names"),
        Column("runs", Many(_FACTS, 3), lambda found: found.runs),
        *renamed(SeveralComparison, problems="n_problems"),
        *own(SeveralComparison, "cluster", "n_clusters", "n", "sizes", "draws", "seed", "differences", "reasons"),
        Column("accuracies", Many(_OF_RUN), lambda found: found.accuracies),
        Column("quantities", Many(_OF_RUN), lambda found: found.quantities),
        Column("pairs", Many(_PAIR), lambda found: found.pairs),
        *own(SeveralComparison, "sentences"),
    ),
    description="compare.json of three or more runs of one task on the same problems. Shares are fractions of 1; "
    "differences are the second run's accuracy minus the first one's.",
)


def document(found: SeveralComparison) -> dict[str, object]:
    """The content of compare.json."""
    return DOCUMENT.json(found)


def write_several(found: SeveralComparison, directory: Path) -> dict[str, Path]:
    """Write compare.csv and compare.json into an existing directory.

    Raises:
        StoreError: the document does not fit its schema, or a file cannot be written; the older ones are kept.
    """
    content = document_text(document(found), "compare_several")
    texts = {"compare.csv": to_csv(_csv_rows(found)), "compare.json": content}
    for name, text in texts.items():
        write_text(directory / name, text)
    return {name: directory / name for name in texts}


def _csv_rows(found: SeveralComparison) -> Iterator[CsvRow]:
    """Every number of a run, then every pair, in one table: what a row has not is empty."""
    rows, pairs = run_cells(found), pair_cells(found)
    names = dict.fromkeys([*rows[0], *pairs[0]])
    for row in (*rows, *pairs):
        yield {name: row.get(name) for name in names}


def run_cells(found: SeveralComparison) -> list[CsvRow]:
    """The rows of compare.csv on one run each; ``table`` is ``accuracy`` or ``quantity``."""
    tables = {"accuracy": found.accuracies, "quantity": found.quantities}
    return [{"table": table, **_OF_RUN.cells(row)} for table, rows in tables.items() for row in rows]


def pair_cells(found: SeveralComparison) -> list[CsvRow]:
    """The rows of compare.csv on two runs each; ``table`` is ``pair``."""
    return [{"table": "pair", **_PAIR.cells(pair)} for pair in found.pairs]


def render_several(found: SeveralComparison) -> str:
    """Header, tables and sentences as lines of text, ending in a newline."""
    width = max(map(len, found.names)) + 1
    header = [
        f"{f'{name}:'.ljust(width)} {model_name(config_of(facts), ' + adapter ')} ({facts['path']})"
        for name, facts in zip(found.names, found.runs, strict=True)
    ]
    header += wrapped([f"{several_samples(found)}, paired by problem; intervals 95 % over {found.units[1]}s"])
    if found.n_clusters is not None:
        header.append(clusters_text(found.n_clusters, found.cluster))
    accuracy = [("accuracy", "run", "[95 %]"), *map(_run_row, found.accuracies)]
    quantity = [("quantity", "run", "[95 %]"), *map(_run_row, found.quantities)]
    pairs = [("difference in points", "", "[95 %]", "p"), *map(_pair_row, found.pairs)]
    lines = [*header, "", *text_table(accuracy), "", *text_table(pairs), ""]
    if found.quantities:
        lines += [*text_table(quantity), ""]
    return "\n".join([*lines, *wrapped(notes(found))]) + "\n"


def several_samples(found: SeveralComparison) -> str:
    """Problems and samples of all runs, with what has a common n where they differ."""
    problems = counted(found.n_problems)
    if len(set(found.sizes)) == 1:
        return f"{problems} x {counted(found.sizes[0], 'sample')}"
    sizes = ", ".join(f"{size} with {name}" for name, size in zip(found.names, found.sizes, strict=True))
    return (
        f"{problems}; samples: {sizes} (best-of-n, vote, oracle and answers: of {found.n}; the vote of a larger "
        f"pool is a mean over {DRAWS} random subsets)"
    )


def notes(found: SeveralComparison) -> Iterator[str]:
    """Sentences below the tables, or on top of a page."""
    for name, differing in found.differences.items():
        for what, how in differing.items():
            yield f"{found.names[0]} and {name} differ in {what}: {how}."
    yield from (f"not compared: {name}; {reason}." for name, reason in found.reasons.items())
    count = len(found.pairs)
    yield f"p: paired by problem; Holm-adjusted over all {count} differences, every pair of runs in every arm."
    yield from found.sentences
    yield (
        "Likelihoods of one model under another are compared of two runs: bon-eval score RUN --by RUN2 both ways, then "
        "bon-eval compare RUN RUN2."
    )


def _run_row(row: OfRun) -> tuple[str, str, str]:
    digits = 3 if row.unit == "share" or row.name == "entropy_per_token" else 2
    limits_ = ends(row.value.low, row.value.high, f".{digits}f", marked=row.value.marked)
    return (
        row.label.replace(" likelihood", " log-lik"),
        shortened(row.run, _WIDTH),
        f"{row.value.estimate:.{digits}f}{limits_}",
    )


def _pair_row(pair: PairDifference) -> tuple[str, str, str, str]:
    which = f"{shortened(pair.second, _WIDTH // 2)} - {shortened(pair.first, _WIDTH // 2)}"
    return (pair.label.replace(" likelihood", " log-lik"), which, points_text(pair.difference), p_text(pair.shown_p))


def points_text(test: PairedTest) -> str:
    """A difference of accuracies in points with its interval."""
    return f"{100 * test.difference:+z.1f}{ends(test.low, test.high, '+z.1f', 100.0)}"
