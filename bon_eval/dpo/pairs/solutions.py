"""The data set's own solutions of a stored run's problems, as responses to its prompts."""

from __future__ import annotations

from collections.abc import Mapping

from bon_eval.errors import TaskError
from bon_eval.store.reader import Run
from bon_eval.tasks.load import list_tasks, load_task
from bon_eval.tasks.problems import task_hash
from bon_eval.tasks.prompts import RenderedPrompt
from bon_eval.tasks.spec import TaskSpec
from bon_eval.tasks.templates import render_template, template_names


def run_solutions(run: Run, prompts: Mapping[str, RenderedPrompt], task: str | None, *, strip: bool) -> dict[str, str]:
    """The data set's own solution of each problem that has one, as a response to the run's prompt.

    It is the task's few_shot.response template, or its column of solutions where the examples are demonstrations of the
    task's own: in plain style the very text that follows the prompt, in chat style
    without surrounding blanks, as in a few-shot example.

    Raises:
        TaskError: no worked solutions, a column that the run did not store, or a task that is not the run's.
    """
    spec = _task(run, task)
    template = spec.few_shot.response
    if spec.few_shot.demonstrations and template is not None:
        # The template is over the demonstrations' own texts; the data's are in the column of worked solutions.
        column = spec.columns.solution
        template = None if column is None else template.replace("{response}", f"{{{column}}}")
    if template is None:
        raise TaskError(
            f"task {spec.name} has no worked solutions (a few_shot.response template over the data, or "
            "columns.solution); give --task a YAML file of this task with one"
        )
    where = f"{spec.path}: few_shot.response"
    optional = {spec.columns.solution}
    solutions = {}
    for problem in run.problems:
        _check_prompt(spec, prompts[problem.id], problem.fields)
        if not optional.intersection(set(template_names(template, where)).difference(problem.fields)):
            text = render_template(template, problem.fields, where)
            solutions[problem.id] = text.strip() if strip else text
    return solutions


def _task(run: Run, task: str | None) -> TaskSpec:
    if task is not None:
        return load_task(task)
    config = run.meta["config"]
    if config["task"] in list_tasks():
        spec = load_task(config["task"])
        if task_hash(spec, run.problems) == config["task_hash"]:
            return spec
    raise TaskError(
        f"{run.path} was made with a task {config['task']!r} that is not one that comes with this bon-eval; "
        "give its YAML file with --task"
    )


def _check_prompt(spec: TaskSpec, prompt: RenderedPrompt, fields: Mapping[str, str]) -> None:
    """A solution to another question than the model was asked would be a wrong pair without a sign of it."""
    question = render_template(spec.prompt, fields, f"{spec.path}: prompt")
    # The chat template of a run without messages may have changed the text; plain style ends with it as it is.
    asked = prompt.text if prompt.messages is None else prompt.messages[-1]["content"]
    if question.strip() not in asked:
        raise TaskError(
            f"the prompt of problem {prompt.problem_id!r} is not what {spec.path} makes of it; "
            "give the task that the run was made with"
        )
