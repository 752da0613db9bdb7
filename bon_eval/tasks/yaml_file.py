"""A YAML file of ours, read key by key; its error is one line that names the file and the key of every mistake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from bon_eval.errors import TaskError, one_line, regular


class _Loader(yaml.SafeLoader):
    """A key that stands twice is an error: one of its values would be dropped silently."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[object, object]:
    seen = set()
    for key, _ in node.value:
        if key.tag != "tag:yaml.org,2002:merge" and isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands there twice", key.start_mark)
            seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load_yaml(text: str) -> object:
    """The content of a YAML text; raises `yaml.YAMLError`, also for a key that stands twice."""
    return yaml.load(text, _Loader)  # noqa: S506 (a safe loader)


def read_yaml(path: Path, kind: str) -> Node:
    """The top mapping of a ``task`` or ``group`` file. Raises `TaskError` for anything but a mapping in UTF-8."""
    try:
        content = load_yaml(regular(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise TaskError(f"cannot read {kind} file {path}: {error.strerror}; give the path of a .yaml file") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TaskError(f"{kind} file {path} is not YAML in UTF-8: {one_line(error)}") from error
    return Node(path, "", content, kind=kind)


class Node:
    """A mapping of the file. What is wrong in it is kept until `finish`, so that one error names all mistakes.

    A key with a mistake reads as if it were absent, or as an empty text or the least number where it must be there.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        content: object,
        *,
        given: bool = True,
        kind: str = "task",
        mistakes: list[str] | None = None,
    ) -> None:
        self.path, self.key, self.given, self.kind = path, key, given, kind
        self.mistakes: list[str] = [] if mistakes is None else mistakes
        if not isinstance(content, Mapping):
            if not key:
                raise TaskError(f"{kind} file {path}: must be a mapping of keys to values")
            self.mistakes.append(f"{key} must be a mapping of keys to values")
            content, self.given = {}, False
        self.values: dict[object, object] = dict(content)

    def wrong(self, key: str, message: str) -> None:
        """Keep a mistake, by its key."""
        self.mistakes.append(f"{self._full(key)} {message}")

    def finish(self) -> None:
        """Raise `TaskError` for what has been found wrong: one line that names the file and every key."""
        if self.mistakes:
            raise self._found()

    def error(self, key: str, message: str) -> TaskError:
        """A mistake behind which nothing can be read, with those that were found before."""
        self.wrong(key, message)
        return self._found()

    def _found(self) -> TaskError:
        found = list(dict.fromkeys(self.mistakes))
        many = f"{len(found)} mistakes: " if len(found) > 1 else ""
        return TaskError(f"{self.kind} file {self.path}: {many}{'; '.join(found)}")

    def only(self, *valid: str) -> None:
        """Refuse keys that mean nothing: a misspelt one would silently leave its default in force."""
        if unknown := [key for key in self.values if key not in valid]:
            where = f" in {self.key}" if self.key else ""
            named = ", ".join(map(repr, unknown))
            self.mistakes.append(
                f"unknown key{'s' if len(unknown) > 1 else ''} {named}{where}; valid: {', '.join(valid)}"
            )

    def node(self, key: str, *, required: bool = True) -> Node:
        value = self.values.get(key)
        if value is None:
            if required:
                self.wrong(key, "is missing; add it")
            return self._below(self._full(key), {}, given=False)
        return self._below(self._full(key), value)

    def nodes(self, key: str) -> list[Node]:
        """A list of mappings; an absent one is empty."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.wrong(key, f"is {value!r}; it must be a list of mappings")
            return []
        return [self._below(f"{self._full(key)}[{i}]", item) for i, item in enumerate(value)]

    def text(self, key: str) -> str:
        """A text that must be there; empty where it is not, or where all of this mapping is absent."""
        value = self.values.get(key)
        if isinstance(value, str) and value.strip():
            return value
        if value is not None and not isinstance(value, str):
            return self.optional_text(key) or ""
        if self.given:
            self.wrong(key, "is missing or empty; add it")
        return ""

    def optional_text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        self.wrong(key, f"is {value!r}, which is not text; put it in quotes")
        return None

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            self.wrong(key, f"is {value!r}; it must be a list of non-empty texts")
            return ()
        return tuple(value)

    def integer(self, key: str, *, minimum: int, default: int | None = None) -> int:
        """A whole number; `default` where it is absent, if there is one."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            self.wrong(key, f"is {value!r}; it must be a whole number of at least {minimum}")
            return minimum
        return value

    def _full(self, key: str) -> str:
        return ".".join(part for part in (self.key, key) if part)

    def _below(self, key: str, content: object, *, given: bool = True) -> Node:
        return Node(self.path, key, content, given=given, kind=self.kind, mistakes=self.mistakes)
