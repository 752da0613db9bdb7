"""A user's own preferences, taken anywhere a recipe's file is: JSON Lines, Parquet, or a data set on the hub."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bon_eval.dpo.pairs.files import Pair, checked, pair_of, read_pairs
from bon_eval.errors import Boundary, ConfigError, regular
from bon_eval.tasks.problems import without_progress_bars

HUB = "hub:"


def load_pairs(spec: str) -> tuple[Pair, ...]:
    """The pairs of a ``.jsonl`` or ``.parquet`` file, or of ``hub:NAME[:SPLIT]`` (split ``train`` if none is given).

    All have TRL's columns prompt, chosen and rejected, as text or as messages; a missing value counts as a missing
    column. A pair's id is the column ``id``, or the line of a JSON Lines file and the zero-based row of the others.

    Raises:
        ConfigError: another ending, nothing to read, and what `read_pairs` refuses.
    """
    if spec.startswith(HUB):
        return _hub_pairs(spec)
    path = Path(spec)
    if path.suffix.lower() == ".jsonl":
        return read_pairs(path)
    if path.suffix.lower() == ".parquet":
        return _pairs_of(_parquet_rows(path), spec)
    raise ConfigError(
        f"preferences {spec} have the ending {path.suffix!r}; give a .jsonl or .parquet file, or {HUB}NAME[:SPLIT]"
    )


def _pairs_of(rows: Iterable[Mapping[str, object]], source: str) -> tuple[Pair, ...]:
    pairs = []
    for number, row in enumerate(rows):
        given = {name: value for name, value in row.items() if value is not None}
        pairs.append(pair_of(given, f"{source}, row {number}", str(number)))
    return checked(pairs, source)


def _parquet_rows(path: Path) -> list[dict[str, object]]:
    import pyarrow.parquet as pq

    with Boundary(ConfigError, f"cannot read preferences {path}", "give a Parquet file"):
        table = pq.ParquetFile(regular(path)).read()
        if twice := [name for name in table.column_names if table.column_names.count(name) > 1]:
            raise ConfigError(f"preferences {path} have two columns named {twice[0]!r}; rename one")
        rows: list[dict[str, object]] = table.to_pylist()
        return rows


def _hub_pairs(spec: str) -> tuple[Pair, ...]:
    import datasets

    name, _, split = spec.removeprefix(HUB).partition(":")
    if not name:
        raise ConfigError(f"{spec!r} names no data set; give {HUB}NAME or {HUB}NAME:SPLIT")
    remedy = "without the hub, give a .jsonl or .parquet file"
    with Boundary(ConfigError, f"cannot load the preferences {spec} from the hub", remedy), without_progress_bars():
        return _pairs_of(datasets.load_dataset(name, split=split or "train"), spec)
