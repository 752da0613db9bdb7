"""Tasks: a YAML file and a data set in, problems and prompts out."""

from bon_eval.tasks.load import list_tasks, load_task
from bon_eval.tasks.spec import TaskSpec

__all__ = ["TaskSpec", "list_tasks", "load_task"]
