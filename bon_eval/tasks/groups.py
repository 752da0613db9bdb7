"""Groups: a YAML file that names several tasks and the settings they share; tasks/groups/sharpening.yaml is one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bon_eval.errors import TaskError, unknown_name
from bon_eval.tasks.load import list_tasks, names_a_file, tasks_dir
from bon_eval.tasks.yaml_file import Node, read_yaml


@dataclass(frozen=True, slots=True)
class GroupTask:
    """One task of a group; None leaves a setting to the task, and for n to the command line's default."""

    task: str
    """A task's name, or the path of a YAML file."""
    n: int | None
    """Responses per problem in the pool."""
    limit: int | None
    """Only the first so many problems."""
    max_tokens: int | None
    """Most tokens of a response, end token included."""
    shots: int | None
    """Few-shot examples."""


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """Several tasks to run with one loaded model."""

    path: Path = field(compare=False)
    name: str
    description: str
    source: str
    tasks: tuple[GroupTask, ...]


def groups_dir() -> Path:
    """The folder of the groups that come with bon-eval."""
    return tasks_dir() / "groups"


def list_groups() -> list[str]:
    """The names of the groups that come with bon-eval, sorted."""
    return sorted(path.stem for path in groups_dir().glob("*.yaml"))


def find_group(name_or_path: str) -> GroupSpec | None:
    """The group of that name, or the one in a user's own YAML file; None where it names a task.

    Raises `TaskError` for a name that is neither (the message lists both kinds), and for a file that is no group but
    has its key ``tasks``.
    """
    if names_a_file(name_or_path):
        path = Path(name_or_path)
        top = read_yaml(path, "task")
        return _parse(path) if "tasks" in top.values else None
    if name_or_path in list_groups():
        return _parse(groups_dir() / f"{name_or_path}.yaml")
    if name_or_path not in list_tasks():
        known = [*list_tasks(), *(f"{name} (a group)" for name in list_groups())]
        raise TaskError(f"{unknown_name('task', name_or_path, known)}; or give the path of your own .yaml file")
    return None


_SETTINGS = {"n": 1, "limit": 1, "max_tokens": 1, "shots": 0}
"""The least value of each."""


def _parse(path: Path) -> GroupSpec:
    top = read_yaml(path, "group")
    top.only("name", "description", "source", *_SETTINGS, "tasks")
    shared = _settings(top)
    tasks: list[GroupTask] = []
    for node in _named(top):
        node.only("task", *_SETTINGS)
        task = node.text("task")
        # A file is named from where the group's own file lies.
        name = str(path.parent / task) if names_a_file(task) else task
        tasks.append(GroupTask(task=name, **(dict.fromkeys(_SETTINGS) | shared | _settings(node))))
    if not tasks and not top.mistakes:
        top.wrong("tasks", "is empty; name at least one, as - NAME or - task: NAME")
    names = [task.task for task in tasks if task.task]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            top.wrong("tasks", f"names {name!r} twice; name it once")
    description, source = (top.optional_text(key) or "" for key in ("description", "source"))
    name = top.optional_text("name") or path.stem
    top.finish()
    return GroupSpec(path, name, description, source, tuple(tasks))


def _named(top: Node) -> list[Node]:
    """The tasks as mappings: a plain name stands for one with that name alone."""
    listed = top.values.get("tasks")
    if isinstance(listed, list):
        top.values["tasks"] = [{"task": item} if isinstance(item, str) else item for item in listed]
    return top.nodes("tasks")


def _settings(node: Node) -> dict[str, int | None]:
    return {key: node.integer(key, minimum=least) for key, least in _SETTINGS.items() if key in node.values}
