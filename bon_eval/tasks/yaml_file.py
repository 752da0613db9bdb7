"""A YAML file of ours, read key by key; every error is one line that names the file and the key."""

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
    """A mapping of the file."""

    def __init__(self, path: Path, key: str, content: object, *, given: bool = True, kind: str = "task") -> None:
        self.path, self.key, self.given, self.kind = path, key, given, kind
        if not isinstance(content, Mapping):
            what = f"{key} " if key else ""
            raise TaskError(f"{kind} file {path}: {what}must be a mapping of keys to values")
        self.values: dict[object, object] = dict(content)

    def error(self, key: str, message: str) -> TaskError:
        """One line that names the file and the key."""
        return TaskError(f"{self.kind} file {self.path}: {self._full(key)} {message}")

    def only(self, *valid: str) -> None:
        """Refuse keys that mean nothing: a misspelt one would silently leave its default in force."""
        for key in self.values:
            if key not in valid:
                where = f" in {self.key}" if self.key else ""
                raise TaskError(f"{self.kind} file {self.path}: unknown key {key!r}{where}; valid: {', '.join(valid)}")

    def node(self, key: str, *, required: bool = True) -> Node:
        if self.values.get(key) is None:
            if required:
                raise self.error(key, "is missing; add it")
            return Node(self.path, self._full(key), {}, given=False, kind=self.kind)
        return Node(self.path, self._full(key), self.values[key], kind=self.kind)

    def nodes(self, key: str) -> list[Node]:
        """A list of mappings; an absent one is empty."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(key, f"is {value!r}; it must be a list of mappings")
        return [Node(self.path, f"{self._full(key)}[{i}]", item, kind=self.kind) for i, item in enumerate(value)]

    def text(self, key: str) -> str:
        value = self.optional_text(key)
        if value is None or not value.strip():
            raise self.error(key, "is missing or empty; add it")
        return value

    def optional_text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.error(key, f"is {value!r}, which is not text; put it in quotes")

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            raise self.error(key, f"is {value!r}; it must be a list of non-empty texts")
        return tuple(value)

    def integer(self, key: str, *, minimum: int) -> int:
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise self.error(key, f"is {value!r}; it must be a whole number of at least {minimum}")
        return value

    def _full(self, key: str) -> str:
        return ".".join(part for part in (self.key, key) if part)
