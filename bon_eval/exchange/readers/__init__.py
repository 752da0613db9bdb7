"""Formats of other programs, one file each; the plain one takes what no other claims."""

from __future__ import annotations

from pathlib import Path

from bon_eval.errors import SourceError, unknown_name
from bon_eval.exchange.readers.base import About, Reader
from bon_eval.exchange.readers.batch import BATCH
from bon_eval.exchange.readers.dataset_folder import DATASET
from bon_eval.exchange.readers.every_eval_ever import EVERY_EVAL_EVER
from bon_eval.exchange.readers.inspect_log import INSPECT
from bon_eval.exchange.readers.lighteval import LIGHTEVAL
from bon_eval.exchange.readers.lm_eval import LM_EVAL
from bon_eval.exchange.readers.monkeys import MONKEYS
from bon_eval.exchange.readers.nemo_skills import NEMO_SKILLS
from bon_eval.exchange.readers.plain import PLAIN
from bon_eval.exchange.readers.search_and_learn import SEARCH_AND_LEARN

__all__ = ["READERS", "About", "Reader", "reader_of"]

READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        *(LM_EVAL, EVERY_EVAL_EVER, INSPECT, BATCH, NEMO_SKILLS, MONKEYS, SEARCH_AND_LEARN, LIGHTEVAL),
        *(DATASET, PLAIN),
    )
}
"""By name, in the order in which a source is tried; the plain one last."""

_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")


def reader_of(path: Path, name: str | None = None) -> Reader:
    """The reader of a source.

    Args:
        path: a file or a folder.
        name: of `READERS`; None: the first that knows the source as its own.

    Raises:
        SourceError: there is no such source, no reader knows it, or it is a pickle.
    """
    if not path.exists():
        raise SourceError(f"there is no file or folder {path}; give the path of a source")
    if path.suffix.lower() in _PICKLES:
        raise SourceError(
            f"{path} is a pickle, which runs whatever code it holds as it is read; write it as JSON Lines or Parquet "
            "with the program that made it"
        )
    if name is not None:
        if name not in READERS:
            raise SourceError(unknown_name("format", name, list(READERS)))
        return READERS[name]
    for reader in READERS.values():
        if reader.is_it(path):
            return reader
    raise SourceError(f"{path} is of no format that is known; name one with --format: {', '.join(READERS)}")
