"""A task of one's own: what a file need not say, all its mistakes at once, and the file that ``tasks new`` writes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from bon_eval.cli import main
from bon_eval.errors import TaskError
from bon_eval.graders import GRADERS
from bon_eval.tasks.groups import GroupTask, find_group
from bon_eval.tasks.load import ANSWER_FORMATS, load_task
from bon_eval.tasks.problems import load_problems, load_train_problems, spec_hash
from bon_eval.tasks.spec import FewShot, Gold, Plain

ROWS = [{"problem": "1 + 1?", "answer": "2"}, {"problem": "2 + 3?", "answer": "5"}]
LEAST = "columns: {question: problem, answer: answer}\nprompt: 'Q: {question}'\ngrader: numeric\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_rows(path: Path, rows: list[dict[str, object]] | list[dict[str, str]] = ROWS) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def test_columns_prompt_and_grader_are_enough(tmp_path: Path) -> None:
    spec = load_task(write(tmp_path / "small.yaml", LEAST))
    assert (spec.name, spec.description, spec.source, spec.licence, spec.dataset) == ("small", "", "", "", None)
    assert (spec.answer_format, spec.max_tokens, spec.prompt_style, spec.system) == ("#### {gold}", 512, "auto", None)
    assert (spec.few_shot, spec.gold, spec.plain, spec.stop, spec.draws) == (FewShot(), Gold(), Plain(), (), ())
    assert (spec.reasoning, spec.cluster, spec.chance, spec.rows) == (None, None, None, ())
    assert [p.gold for p in load_problems(spec, data=write_rows(tmp_path / "d.jsonl"))] == ["2", "5"]
    with pytest.raises(TaskError, match=r"task small names no data; give --data FILE, or a dataset in .*small\.yaml"):
        load_problems(spec)
    with pytest.raises(TaskError, match=r"task small names no data; give --train-data FILE"):
        load_train_problems(spec)
    with pytest.raises(TaskError, match=r"data folder .* has no file with a name that the task gives"):
        load_problems(spec, data=tmp_path)
    assert len(spec_hash(spec)) == 64


def test_every_grader_of_ours_has_the_answer_format_that_it_reads(tmp_path: Path) -> None:
    assert set(ANSWER_FORMATS) == set(GRADERS)
    golds = {"math": r"\frac{1}{2}", "gsm8k": "7", "numeric": "7", "choice": "B", "true_false": "True", "game24": ""}
    for name, gold in golds.items():
        spec = load_task(write(tmp_path / "t.yaml", LEAST.replace("numeric", name)))
        if gold:
            assert GRADERS[name](spec.answer_format.replace("{{", "{").replace("}}", "}").replace("{gold}", gold), gold)
    other = load_task(write(tmp_path / "t.yaml", LEAST.replace("numeric", "of_a_package")))
    assert other.answer_format == "{gold}"


def test_a_file_is_named_from_where_the_tasks_own_lies(tmp_path: Path) -> None:
    spec = load_task(write(tmp_path / "a" / "t.yaml", LEAST.replace("numeric", "../mine.py:f")))
    assert spec.grader == f"{tmp_path.resolve() / 'a' / '..' / 'mine.py'}:f"
    elsewhere = load_task(write(tmp_path / "t.yaml", LEAST.replace("numeric", "mine.py:f")))
    assert spec_hash(elsewhere) == spec_hash(spec)  # the responses do not depend on it


# --- names of columns in a prompt


def test_both_names_of_a_column_work(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", [{**row, "context": "c"} for row in ROWS])
    for prompt, names in (("{question}", ("question",)), ("{problem}", ("problem",)), ("{context} {question}", ())):
        spec = load_task(write(tmp_path / "t.yaml", LEAST.replace("Q: {question}", prompt)))
        [first, _] = load_problems(spec, data=data)
        for name in names:
            assert first.fields[name] == "1 + 1?"
        assert first.fields["problem"] == "1 + 1?"
    # A column of the data that is called so is meant first.
    data = write_rows(tmp_path / "d.jsonl", [{**row, "question": "of the data"} for row in ROWS])
    spec = load_task(write(tmp_path / "t.yaml", LEAST))
    assert load_problems(spec, data=data)[0].fields["question"] == "of the data"


def test_a_column_that_no_template_could_name_has_its_other_name(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", [{"item.text": "1 + 1?", "answer": "2"}])
    spec = load_task(write(tmp_path / "t.yaml", LEAST.replace("problem", "item.text")))
    assert load_problems(spec, data=data)[0].fields["question"] == "1 + 1?"


def test_options_and_demonstrations_by_either_name(tmp_path: Path) -> None:
    text = (
        "columns: {question: stem, answer: key, options: choices}\nprompt: '{question} {options} {stem}'\n"
        "grader: choice\nfew_shot: {k: 1, demonstrations: [{stem: s, choices: [x, y], gold: B, response: (B)}]}\n"
    )
    rows: list[dict[str, object]] = [{"stem": "?", "key": "A", "choices": ["a", "b"]}]
    spec = load_task(write(tmp_path / "t.yaml", text))
    [problem] = load_problems(spec, data=write_rows(tmp_path / "d.jsonl", rows))
    assert problem.fields["options"] == problem.fields["choices"] == "(A) a\n(B) b"
    assert problem.fields["question"] == "?"
    [example] = load_train_problems(spec)
    assert example.fields["options"] == example.fields["choices"] == "(A) x\n(B) y"
    assert example.fields["question"] == "s"
    by_role = load_task(write(tmp_path / "t.yaml", text.replace("[{stem: s", "[{question: s")))
    assert load_train_problems(by_role)[0].fields == example.fields


# --- all mistakes at once


def test_all_mistakes_of_a_file_are_one_error(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.yaml",
        "name: a/b\npromt: x\nlicense: y\ncolumns: {question: q, anser: a}\nmax_tokens: none\nprompt_style: chatty\n"
        "dataset: {hub: {id: x, split: 3}}\nanswer_format: '{x}'\ngold: {matches: '('}\nchance: 2\nstop: x\n"
        "few_shot: {k: 1, demonstrations: [{q: 1, gold: '2'}]}\ndraws: [low=temp:1]\n",
    )
    with pytest.raises(TaskError) as caught:
        load_task(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"task file {path}: 17 mistakes: ")
    for part in (
        "unknown keys 'promt', 'license'",
        "name is 'a/b'",
        "unknown key 'anser' in columns",
        "columns.answer is missing or empty",
        "grader is missing or empty",
        "prompt is missing or empty",
        "dataset.hub.split is 3, which is not text",
        "dataset.hub.revision is missing or empty",
        "answer_format must name {gold}",
        "max_tokens is 'none'",
        "prompt_style is 'chatty'",
        "gold.matches is no regular expression",
        "chance is 2",
        "stop is 'x'",
        "few_shot.demonstrations[0].q is 1, which is not text",
        "few_shot.demonstrations[0].response is missing or empty",
        "draws 'low=temp:1'",
    ):
        assert part in message, part
    assert "prompt names no column" not in message  # what follows from another mistake is none by itself


def test_one_mistake_makes_no_other(tmp_path: Path) -> None:
    for text, said in (
        (LEAST.replace("columns: {question: problem, answer: answer}\n", ""), "columns is missing; add it"),
        (LEAST.replace("{question: problem, answer: answer}", "[a]"), "columns must be a mapping of keys to values"),
        (LEAST + "dataset: {hub: 3}\n", "dataset.hub must be a mapping of keys to values"),
        (LEAST + "few_shot: 3\n", "few_shot must be a mapping of keys to values"),
        (LEAST.replace("{question}'", "{'"), None),
    ):
        path = write(tmp_path / "t.yaml", text)
        with pytest.raises(TaskError) as caught:
            load_task(path)
        assert "mistakes" not in str(caught.value)
        if said is not None:
            assert str(caught.value) == f"task file {path}: {said}"


def test_all_columns_that_the_data_lacks_are_named(tmp_path: Path) -> None:
    text = "columns: {question: q, answer: a, id: i}\nprompt: '{question} {more}'\ngrader: numeric\ncluster: source\n"
    spec = load_task(write(tmp_path / "t.yaml", text))
    with pytest.raises(TaskError) as caught:
        load_problems(spec, data=write_rows(tmp_path / "d.jsonl", [{"x": "1", "a": "2"}]))
    for part in (
        "no column 'q' (columns.question of task t)",
        "'i' (columns.id",
        "'source' (cluster",
        "'more', which prompt",
    ):
        assert part in str(caught.value)
    assert str(caught.value).endswith("; it has: x, a")
    assert "'a'" not in str(caught.value)


# --- groups


def test_a_group_takes_plain_names(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", "tasks: [gsm8k, own.yaml, {task: math500, n: 3}]\nlimit: 2\n")
    group = find_group(str(path))
    assert group is not None
    assert (group.name, group.description, group.source) == ("mine", "", "")
    assert group.tasks == (
        GroupTask("gsm8k", None, 2, None, None),
        GroupTask(str(tmp_path / "own.yaml"), None, 2, None, None),
        GroupTask("math500", 3, 2, None, None),
    )
    write(path, "tasks: [gsm8k, gsm8k, 3, {task: x, limits: 1}]\nn: 0\nnames: y\n")
    with pytest.raises(TaskError) as caught:
        find_group(str(path))
    for part in (
        "5 mistakes",
        "names 'gsm8k' twice",
        "tasks[2] must be a mapping",
        "'limits' in tasks[3]",
        "n is 0",
        "'names'",
    ):
        assert part in str(caught.value)
    write(path, "tasks: []\n")
    with pytest.raises(TaskError, match=r"tasks is empty; name at least one, as - NAME or - task: NAME"):
        find_group(str(path))


# --- tasks new


def new(name: str, data: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["tasks", "new", name, "--data", str(data), *options])


@pytest.mark.parametrize(
    ("rows", "options", "grader", "columns"),
    [
        (ROWS, [], "numeric", {"question": "problem", "answer": "answer"}),
        ([{"Question": "?", "Target": "x^2"}], [], "math", {"question": "Question", "answer": "Target"}),
        ([{"input": "?", "label": "True"}, {"input": "!", "label": "false"}], [], "true_false", None),
        ([{"text": "?", "gold": "B"}, {"text": "!", "gold": "C"}], [], "choice", None),
        (
            [{"id": "a", "question": "?", "choices": ["x", "y"], "answer": 1}],
            [],
            "choice",
            {"question": "question", "answer": "answer", "options": "choices", "id": "id"},
        ),
        (
            [{"question": "?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answer": "2"}],
            [],
            "choice",
            {"question": "question", "answer": "answer", "options": "choices"},
        ),
        ([{"question": "?", "answer": "Q"}, {"question": "!", "answer": "A"}], [], "math", None),
        ([{"question": "?", "A": "x", "B": "y", "C": "z", "answer": "C"}], [], "choice", None),
        ([{"question": "?", "answer": "so\n#### 5"}], [], "numeric", None),
        ([{"a b": "?", "c.d": "5", "question": "no"}], ["--question", "a b", "--answer", "c.d"], "numeric", None),
        (
            [{"id": "1", "question": "?", "answer": "Paris"}, {"id": "1", "question": "!", "answer": "Rome"}],
            [],
            "math",
            None,
        ),
        (ROWS, ["--grader", "gsm8k"], "gsm8k", None),
    ],
)
def test_the_file_that_is_written_checks(
    tmp_path: Path, rows: list[dict[str, object]], options: list[str], grader: str, columns: dict[str, str] | None
) -> None:
    data, path = write_rows(tmp_path / "data" / "d.jsonl", rows), tmp_path / "tasks" / "mine.yaml"
    done = new("mine", data, "--out", str(path), *options)
    assert done.exit_code == 0, done.stderr
    assert f"grader {grader}" in done.output
    assert f"on {len(rows)} of {len(rows)} problems" in done.output
    spec = load_task(path)
    assert (spec.name, spec.grader) == ("mine", grader)
    assert columns is None or spec.columns.roles() == columns
    problems = load_problems(spec)
    assert len(problems) == len(rows)
    shown = problems[0].fields[next(iter(spec.template_columns()["prompt"]))]
    assert shown in ("?", "1 + 1?")
    assert set(yaml.safe_load(path.read_text())) <= {"name", "dataset", "columns", "gold", "prompt", "grader"}
    if "A" in rows[0]:
        assert "{question}\n  (A) {A}\n  (B) {B}\n  (C) {C}\n" in path.read_text()
    checked = CliRunner().invoke(main, ["tasks", "check", str(path)])
    assert checked.exit_code == 0, checked.output


def test_letters_without_options_that_can_be_read(tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "mine.yaml")]
    for k, answer in enumerate(("A", "3", "x")):
        data = write_rows(
            tmp_path / f"{k}.jsonl", [{"question": "?", "choices": {"text": ["x", "y"]}, "answer": answer}]
        )
        done = new("mine", data, *out)
        assert done.exit_code == 2
        assert "column 'choices' holds no options that can be read; write them as a list of texts" in done.stderr
        assert not (tmp_path / "mine.yaml").exists()
    assert new("mine", data, *out, "--grader", "math").exit_code == 0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"choices": ["x", None], "answer": "A"}, "row 1 has no list of 2 to 26 texts in column 'choices'"),
        ({"choices": ["x", "y"], "answer": "C"}, "row 1 has the answer 'C'"),
    ],
)
def test_options_of_which_one_row_is_wrong(tmp_path: Path, row: dict[str, object], said: str) -> None:
    rows = [{"question": "?", "choices": ["x", "y"], "answer": "B"}, {"question": "!", **row}]
    done = new("mine", write_rows(tmp_path / "d.jsonl", rows), "--out", str(tmp_path / "mine.yaml"))
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_column_for_each_option(tmp_path: Path) -> None:
    """A run of letters from A that are no question, answer or id; an answer is one of them."""
    row = {"Q": "?", "A": "x", "B": "y", "N": "z", "answer": "C"}
    data, path = write_rows(tmp_path / "d.jsonl", [row]), tmp_path / "mine.yaml"
    done = new("mine", data, "--question", "Q", "--out", str(path))
    assert "an answer is 'C', and the columns of options are A, B" in done.stderr
    data = write_rows(tmp_path / "e.jsonl", [row | {"answer": "B"}])
    assert new("mine", data, "--question", "Q", "--out", str(path)).exit_code == 0
    assert "  (A) {A}\n  (B) {B}\n\n" in path.read_text()
    path.unlink()
    data = write_rows(tmp_path / "f.jsonl", [{"question": "?", "a": "x", "b": "y", "answer": "B"}])
    assert (
        "the prompt shows no options: they must stand in the question" in new("mine", data, "--out", str(path)).output
    )


def test_what_a_grader_cannot_be_tried_with_is_not_said(tmp_path: Path) -> None:
    write(tmp_path / "g.py", "def f(response, gold):\n    return gold in response\n")
    data, path = write_rows(tmp_path / "d.jsonl"), tmp_path / "mine.yaml"
    done = new("mine", data, "--out", str(path), "--grader", f"{tmp_path}/g.py:f")
    assert "the right answer correct; it makes no near misses up to be tried\n" in done.output
    path.unlink()
    assert "the right answer correct and near misses wrong\n" in new("mine", data, "--out", str(path)).output


def test_it_runs_at_once(bon_eval_here: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    write(tmp_path / "g.py", "def f(response, gold):\n    return gold in response, response[-3:]\n")
    assert (
        new("mine", write_rows(tmp_path / "d.jsonl"), "--out", str(path), "--grader", f"{tmp_path}/g.py:f").exit_code
        == 0
    )
    assert yaml.safe_load(path.read_text())["grader"] == "g.py:f"
    options = ["--model", "arith-mixed", "--n", "2", "--max-tokens", "8", "--engine", "transformers", "--draws", "200"]
    done = bon_eval_here("run", "--task", path, *options, "--no-html", "--quiet", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "mine: 2 problems x 2 samples" in done.stdout


@pytest.mark.parametrize(
    ("name", "options", "part"),
    [
        ("mine.yaml", [], "'mine.yaml' is a file's name; give the task's name alone"),
        ("a/b", [], "name is 'a/b'"),
        ("mine", ["--out", "mine.txt"], "does not end in .yaml"),
        ("mine", ["--question", "q"], "has no column 'q' (--question); it has: problem, answer"),
        ("mine", ["--grader", "gsm9k"], "unknown grader 'gsm9k'"),
        ("mine", ["--grader", "no.py:f"], "no.py cannot be read"),
        ("mine", ["--out", "there.yaml"], "there.yaml exists already"),
    ],
)
def test_what_no_file_is_written_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: list[str], part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "d.jsonl")
    write(tmp_path / "there.yaml", "mine")
    before = sorted(tmp_path.rglob("*"))
    done = new(name, Path("d.jsonl"), *options)
    assert done.exit_code == 2
    [line] = done.stderr.splitlines()
    assert part in line
    assert sorted(tmp_path.rglob("*")) == before


def test_columns_that_cannot_be_told(tmp_path: Path) -> None:
    done = new("mine", write_rows(tmp_path / "d.jsonl", [{"foo": "?", "bar": "5"}]))
    assert done.exit_code == 2
    assert "which column is the question and the answer cannot be told" in done.stderr
    assert "give --question COLUMN and --answer COLUMN, of: foo, bar" in done.stderr
