"""Engine arguments for several engines at once: each engine gets those that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

from bon_eval.engines.servers import ServerSettings
from bon_eval.engines.transformers.engine import ENGINE_ARGS
from bon_eval.errors import ConfigError, unknown_name


def split_arguments(engines: Sequence[str], given: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Engine -> its arguments. A single engine gets all, and refuses what it does not take.

    Of several, the server and transformers get the arguments that they name, and vLLM, which has hundreds, the others.

    Raises:
        ConfigError: several engines without vLLM, and an argument that none of them takes.

    >>> split_arguments(["transformers", "vllm"], {"batch_size": 8, "max_num_seqs": 4})
    {'transformers': {'batch_size': 8}, 'vllm': {'max_num_seqs': 4}}
    """
    if len(engines) == 1:
        return {engines[0]: dict(given)}
    known = {"transformers": set(ENGINE_ARGS), "openai": {f.name for f in fields(ServerSettings)}}
    found: dict[str, dict[str, object]] = {name: {} for name in engines}
    for name, value in given.items():
        takers = [engine for engine in engines if name in known.get(engine, ())]
        takers = takers or [engine for engine in engines if engine not in known]
        if not takers:
            valid = sorted({argument for engine in engines for argument in known[engine]})
            raise ConfigError(unknown_name(f"argument of engines {' and '.join(engines)}", name, valid))
        for engine in takers:
            found[engine][name] = value
    return found
