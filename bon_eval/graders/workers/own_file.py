"""A user's own function in a file: ``path.py:name``, run as Python code as an import would."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

from bon_eval.errors import BonEvalError, foreign_code, place, reason


def is_file_name(name: str) -> bool:
    """Whether a name is of the form ``path.py:name``.

    >>> is_file_name("a/mine.py:f"), is_file_name("gsm8k")
    (True, False)
    """
    return ".py:" in name


def split_name(name: str) -> tuple[Path, str]:
    """The file and the name in it."""
    path, _, attribute = name.rpartition(":")
    return Path(path).expanduser(), attribute


def shown_name(name: str) -> str:
    """The name without the file's folder; any other as it is.

    >>> shown_name("a/mine.py:f"), shown_name("a/b")
    ('mine.py:f', 'a/b')
    """
    if not is_file_name(name):
        return name
    path, attribute = split_name(name)
    return f"{path.name}:{attribute}"


class _AsItStands(SourceFileLoader):
    """Compiles the source each time: bytecode is kept by second and size, and an edit may change neither."""

    def path_stats(self, path: str | os.PathLike[str]) -> dict[str, int]:
        raise OSError("not asked for")


def load_own(name: str, kind: str, takes: str, error_type: type[BonEvalError]) -> object:
    """What a file defines under a name.

    Args:
        name: ``path.py:name``.
        kind: what it is to be, for messages ("scorer").
        takes: what the function takes, for messages ("one response").
        error_type: of the errors.

    Raises:
        BonEvalError: of that type: no such file, it cannot be imported, or it has no such name.
    """
    path, attribute = split_name(name)
    if not path.is_file():
        raise error_type(f"{kind} {name!r}: there is no file {path}; give path.py:name of a Python file")
    module_name = f"bon_eval_own_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path, loader=_AsItStands(module_name, str(path)))
    if spec is None or spec.loader is None:
        raise error_type(f"{kind} {name!r}: {path} is not a Python file; give path.py:name")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    with foreign_code(
        lambda error: error_type(
            f"{kind} {name!r}: {path} cannot be imported ({reason(error)}{place(error, str(path))}); mend the file"
        )
    ):
        spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        raise error_type(f"{kind} {name!r}: {path} defines no {attribute!r}; define a function of {takes}")
    return getattr(module, attribute)


def content_version(path: Path) -> str:
    """The version of what a file defines: its content's SHA-256, twelve hex digits of it. Raises `OSError`."""
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
