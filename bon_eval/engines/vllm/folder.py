"""The folder that vLLM is given: the model's files alone, since it looks for weights by itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bon_eval.engines.model_files import index_shards, model_files, names_in, spare_weights


def without_spares(directory: Path) -> tempfile.TemporaryDirectory[str] | None:
    """A folder of links to a model's files, where its own holds other weights besides; None where it does not.

    Of a folder with consolidated.safetensors vLLM takes these, by params.json and the tokenizer beside them; of others
    every .safetensors that no index leaves out, or every .bin. Closing the result removes the links.

    Raises:
        ModelError: an index of shards cannot be read.
    """
    names = names_in(directory)
    files = model_files(names, lambda index: index_shards(directory / index))
    if not spare_weights(names, files):
        return None
    links = tempfile.TemporaryDirectory(prefix="bon-eval-model-", ignore_cleanup_errors=True)
    for name in files:
        link = Path(links.name) / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((directory / name).absolute())
    return links
