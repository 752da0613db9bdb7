"""Task files and their data: what is read, and the one-line message for everything that cannot be."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from bon_eval.errors import TaskError
from bon_eval.records import Problem
from bon_eval.tasks.load import list_tasks, load_task
from bon_eval.tasks.problems import load_problems, load_train_problems, local_file, task_hash
from bon_eval.tasks.spec import HubData, TaskSpec
from bon_eval.tasks.templates import render_template, template_names

REAL_DATA = Path(os.environ.get("BON_EVAL_DATA", Path(__file__).parents[2].parent / "shared" / "data"))

TASK: dict[str, Any] = {
    "name": "mine",
    "description": "d",
    "source": "s",
    "licence": "MIT",
    "dataset": {"files": {"test": "test.jsonl"}},
    "columns": {"question": "q", "answer": "a"},
    "gold": {"after": "####"},
    "prompt": "Q: {q}\nA:",
    "answer_format": "#### {gold}",
    "grader": "gsm8k",
    "max_tokens": 16,
}
ROWS = [{"q": "one?", "a": "so\n#### 1"}, {"q": "two?", "a": "so #### x #### 2 "}]


def write_task(folder: Path, **changes: Any) -> Path:
    """A task file that differs from TASK by top-level keys; a value of None drops the key."""
    content = {k: v for k, v in {**TASK, **changes}.items() if v is not None}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def spec(tmp_path: Path) -> TaskSpec:
    write_jsonl(tmp_path / "test.jsonl", ROWS)
    return load_task(write_task(tmp_path))


# --- the tasks that come with bon-eval


def test_every_shipped_task_loads_under_its_own_name() -> None:
    neighbours = ["aime", "asdiv", "math", "svamp"]
    mmlu = [f"mmlu_college_{subject}" for subject in ("biology", "chemistry", "physics")]
    rest = ["arith", "gameof24", "gsm8k", "math500", "math_integer", "prontoqa"]
    assert list_tasks() == sorted([*neighbours, *mmlu, *rest])
    for name in list_tasks():
        spec = load_task(name)
        assert spec.name == name
        assert spec.licence
        if isinstance(spec.dataset, HubData):
            pinned = re.fullmatch("[0-9a-f]{40}", spec.dataset.revision) is not None
            assert pinned or (name, spec.dataset.revision) == ("gameof24", "main"), "pinned to a commit"


def test_the_page_lists_every_task_with_source_size_and_grader() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
    rows = {
        m[1]: m[0] for m in re.finditer(r"^\| `([a-z0-9_]+)`\*? \| .* \| .*\d.* \| `.*` \| .* \|$", page, re.MULTILINE)
    }
    assert sorted(rows) == list_tasks()
    for name, row in rows.items():
        spec = load_task(name)
        assert f"| `{spec.grader}` |" in row
        source = row.split(" | ")[1]
        if isinstance(spec.dataset, HubData) and not source.startswith(("the same", "as `")):
            assert source.startswith(f"`{spec.dataset.id}`")
            assert source.endswith(f"{spec.dataset.split}; {spec.licence}")


def test_arith_reads_its_embedded_files() -> None:
    spec = load_task("arith")
    problems, train = load_problems(spec), load_train_problems(spec)
    assert len(problems) >= 200
    assert all(p.gold.isdigit() and p.fields["answer"].endswith(f"#### {p.gold}") for p in problems)
    assert not {p.fields["question"] for p in problems} & {p.fields["question"] for p in train}


@pytest.mark.data
def test_real_data_sizes() -> None:
    sizes = {"gsm8k": 1319, "math500": 500, "math_integer": 311, "prontoqa": 500, "gameof24": 1362}
    sizes |= {"mmlu_college_biology": 144, "mmlu_college_physics": 102, "mmlu_college_chemistry": 100}
    for name, size in sizes.items():
        spec = load_task(name)
        data = local_file(spec, REAL_DATA)
        assert data is not None
        if not data.is_file():
            pytest.skip(f"no {data.name}: set BON_EVAL_DATA to the folder of the real data sets")
        problems = load_problems(spec, data=data)
        assert len(problems) == size
        assert load_problems(spec, data=REAL_DATA) == problems, "a folder stands for the file that the task names"


# --- reading task files


def test_a_users_own_file(spec: TaskSpec) -> None:
    assert (spec.name, spec.gold.after, spec.max_tokens, spec.prompt_style, spec.stop) == (
        "mine",
        "####",
        16,
        "auto",
        (),
    )
    with pytest.raises(FrozenInstanceError):
        spec.name = "x"  # type: ignore[misc]
    assert load_problems(spec) == (
        Problem("0", ROWS[0], "1"),
        Problem("1", ROWS[1], "2"),
    )


BAD_TASKS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("unknown key", {"promt": "x"}, ["unknown key 'promt'", "valid: name,", "prompt_style"]),
    ("unknown nested key", {"columns": {"question": "q", "anser": "a"}}, ["'anser' in columns", "valid: id, question"]),
    ("unknown hub key", {"dataset": {"hub": {"name": "x"}}}, ["'name' in dataset.hub", "id, config, split, revision"]),
    ("unpinned hub", {"dataset": {"hub": {"id": "x", "split": "test"}}}, ["dataset.hub.revision is missing"]),
    ("number as revision", {"dataset": {"hub": {"id": "x", "split": "t", "revision": 7}}}, ["7", "put it in quotes"]),
    ("two sources", {"dataset": {"hub": {}, "files": {}}}, ["dataset gives hub and files", "exactly one"]),
    ("no source", {"dataset": {}}, ["dataset gives none", "exactly one"]),
    ("missing key", {"grader": None}, ["grader is missing", "add it"]),
    ("empty prompt", {"prompt": " "}, ["prompt is missing or empty"]),
    ("prompt without column", {"prompt": "Answer:"}, ["prompt names no column", "{q}"]),
    ("attribute in template", {"prompt": "{q.__class__}"}, ["prompt: {q.__class__} is not a column name", "{{ and }}"]),
    ("conversion in template", {"prompt": "{q!r:>9}"}, ["{q!r:>9} is not a column name"]),
    ("LaTeX braces", {"prompt": r"{q} \boxed{}"}, ["{} is not a column name", "{{ and }}"]),
    ("unbalanced brace", {"prompt": "{q"}, ["prompt: ", "literal braces as {{ and }}"]),
    ("answer format", {"answer_format": "#### {answer}"}, ["answer_format must name {gold}"]),
    ("max_tokens 0", {"max_tokens": 0}, ["max_tokens is 0", "at least 1"]),
    ("max_tokens true", {"max_tokens": True}, ["max_tokens is True", "whole number"]),
    ("stop is text", {"stop": "\n"}, ["stop is", "list of non-empty texts"]),
    ("style", {"prompt_style": "chatty"}, ["prompt_style is 'chatty'", "auto, chat, plain"]),
    ("name with a slash", {"name": "../up"}, ["name is '../up'", "letters, digits"]),
    ("columns is a list", {"columns": ["q", "a"]}, ["columns must be a mapping"]),
    ("shots without train", {"few_shot": {"k": 1, "response": " {a}"}}, ["few_shot.k is 1", "train file is not given"]),
    ("bad regular expression", {"gold": {"matches": "("}}, ["gold.matches is no regular expression"]),
    ("row filter", {"rows": {"q": 3}}, ["rows.q is 3", "put it in quotes"]),
    ("unknown plain key", {"plain": {"prefx": "Q"}}, ["unknown key 'prefx' in plain", "prefix, stop"]),
    (
        "demonstration without the question",
        {"few_shot": {"k": 0, "demonstrations": [{"gold": "1", "response": "#### 1"}]}},
        ["few_shot.demonstrations lacks 'q' in number 1"],
    ),
    (
        "demonstration without a response",
        {"few_shot": {"k": 0, "demonstrations": [{"q": "?", "gold": "1"}]}},
        ["few_shot.demonstrations[0].response is missing"],
    ),
    ("demonstrations in a mapping", {"few_shot": {"k": 0, "demonstrations": {}}}, ["must be a list of mappings"]),
    ("no draw", {"draws": ["low=temp:1,n:2"]}, [": draws 'low=temp:1,n:2': unknown parameter 'temp'"]),
    ("draws in a mapping", {"draws": {"low": 1}}, ["draws"]),
    ("shots without response", {"few_shot": {"k": 1}}, ["few_shot.response is missing"]),
]


@pytest.mark.parametrize(("changes", "parts"), [c[1:] for c in BAD_TASKS], ids=[c[0] for c in BAD_TASKS])
def test_bad_task_file(tmp_path: Path, changes: dict[str, Any], parts: list[str]) -> None:
    path = write_task(tmp_path, **changes)
    with pytest.raises(TaskError) as caught:
        load_task(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in [str(path), *parts]:
        assert part in message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"name: [", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"name: 2020-13-45", "is not YAML"),
        (b"[" * 5000, "is not YAML"),
        (b"- 1", "must be a mapping"),
        (b"", "must be a mapping"),
    ],
)
def test_file_that_is_no_task(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(content)
    with pytest.raises(TaskError, match=part) as caught:
        load_task(path)
    assert "\n" not in str(caught.value)


def test_python_objects_in_yaml_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("name: !!python/object/apply:os.getcwd []\n", encoding="utf-8")
    with pytest.raises(TaskError, match="is not YAML"):
        load_task(path)


def test_unknown_and_missing_tasks() -> None:
    with pytest.raises(TaskError, match=r"unknown task 'gsm9k'; valid: aime, arith, .*, svamp; or give the path"):
        load_task("gsm9k")
    with pytest.raises(TaskError, match=r"cannot read task file nowhere/t\.yaml: No such file"):
        load_task("nowhere/t.yaml")


def test_templates_never_read_values_as_templates() -> None:
    assert render_template("{a}{{b}}{c}", {"a": "{c}", "c": "{{x}}"}, "t") == "{c}{b}{{x}}"
    assert template_names(r"{a} {b} {a} \boxed{{}}", "t") == ("a", "b")
    with pytest.raises(TaskError, match="names the column 'z'; columns: a"):
        render_template("{z}", {"a": ""}, "here")


# --- data files

AWKWARD = [
    {"id": "007", "q": 'He said "four, five"\nand left', "a": "1.50"},
    {"id": "NA", "q": "naïve 数 \u2028 🙂 tab\there", "a": "2020-01-01"},
    {"id": "1e3", "q": "  blanks kept  ", "a": "null"},
    {"id": "true", "q": "a\\nb {a} {{x}}", "a": "-0"},
]


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def all_formats(folder: Path, rows: list[dict[str, str]]) -> list[Path]:
    lines = write_jsonl(folder / "d.jsonl", rows)
    array, lines_named_json, raw_lines = folder / "d.json", folder / "e.json", folder / "f.jsonl"
    text = "\r\n\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    raw_lines.write_text(text, encoding="utf-8", newline="")
    array.write_text("\ufeff" + json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    lines_named_json.write_text(lines.read_text(encoding="utf-8"), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), folder / "d[0].parquet")
    return [lines, array, lines_named_json, raw_lines, write_csv(folder / "d.csv", rows), folder / "d[0].parquet"]


def test_all_formats_give_the_same_problems_value_for_value(tmp_path: Path) -> None:
    spec = load_task(write_task(tmp_path, gold=None, columns={"id": "id", "question": "q", "answer": "a"}))
    expected = tuple(Problem(r["id"], r, r["a"]) for r in AWKWARD)
    for path in all_formats(tmp_path, AWKWARD):
        assert load_problems(spec, data=path) == expected, path.name
        assert task_hash(spec, load_problems(spec, data=path)) == task_hash(spec, expected)


def test_values_that_are_not_text_become_the_text_that_was_written(tmp_path: Path) -> None:
    spec = load_task(write_task(tmp_path, gold=None, prompt="{q} {choices}"))
    data = tmp_path / "d.jsonl"
    data.write_text('{"q": true, "a": 1.50, "choices": 0.50}\n{"q": "?", "a": 12345678901234567890123, "choices": 1}\n')
    fields = [p.fields for p in load_problems(spec, data=data)]
    assert fields[0] == {"q": "true", "a": "1.50", "choices": "0.50"}
    assert fields[1] == {"q": "?", "a": "12345678901234567890123", "choices": "1"}


def test_a_changed_file_is_read_again(tmp_path: Path, spec: TaskSpec) -> None:
    for path in all_formats(tmp_path, [{"q": "?", "a": "#### 1"}]):
        assert load_problems(spec, data=path)[0].gold == "1"
    for path in all_formats(tmp_path, [{"q": "?", "a": "#### 2"}]):
        assert load_problems(spec, data=path)[0].gold == "2"


def test_limit_takes_the_first(spec: TaskSpec) -> None:
    assert [p.id for p in load_problems(spec, limit=1)] == ["0"]
    assert len(load_problems(spec, limit=9)) == 2
    with pytest.raises(TaskError, match="limit must be at least 1, got 0"):
        load_problems(spec, limit=0)


BAD_DATA: list[tuple[str, str, str | bytes, list[str]]] = [
    (
        "missing column",
        "d.jsonl",
        '{"q": "?", "b": "#### 1", "id": "1"}',
        ["no column 'a'", "columns.answer", "has: q, b"],
    ),
    ("template column", "d.csv", "id,q,a\n1,?,#### 1\n", ["no column 'c'", "prompt of task mine", "it has: id, q, a"]),
    ("duplicate id", "d.csv", "id,q,a,c\n7,?,#### 1,c\n8,?,#### 1,c\n7,?,#### 2,c\n", ["rows 0 and 2", "same id '7'"]),
    ("empty answer", "d.csv", "id,q,a,c\n7,?, ,c\n", ["row 0 has an empty gold answer in column 'a'"]),
    ("null answer", "d.jsonl", '{"id": 1, "q": "?", "a": null, "c": ""}', ["row 0 has an empty gold answer"]),
    ("empty gold", "d.csv", "id,q,a,c\n7,?,so ####,c\n", ["row 0 has an empty gold answer after '####'"]),
    ("no mark", "d.csv", "id,q,a,c\n7,?,12,c\n", ["row 0 has no '####' in column 'a'", "gold.after"]),
    ("empty question", "d.csv", "id,q,a,c\n7,,#### 1,c\n", ["row 0 has no value in column 'q'"]),
    ("no rows, header only", "d.csv", "id,q,a,c\n", ["has no rows"]),
    ("no rows, empty file", "d.jsonl", "", ["has no rows"]),
    ("no rows, empty array", "d.json", "[]", ["has no rows"]),
    ("torn line", "d.jsonl", '{"q": "?"}\n{"q": "?', ["line 2 is not JSON"]),
    ("NaN", "d.jsonl", '{"q": NaN}', ["line 1 is not JSON", "NaN"]),
    ("not objects", "d.json", "[1]", ["entry 0 is not an object"]),
    ("torn array", "d.json", '[{"q": 1}', ["is not JSON"]),
    ("deep nesting", "d.jsonl", "[" * 100_000, ["is not JSON"]),
    ("half a surrogate pair", "d.jsonl", '{"q": "\\ud800"}', ["surrogate"]),
    ("ragged CSV", "d.csv", "id,q,a,c\n1,?,#### 1,000,c\n", ["row 0 has 5 values for 4 columns"]),
    ("short CSV row", "d.csv", "id,q,a,c\n1,?,#### 1\n", ["row 0 has 3 values for 4 columns"]),
    ("open quote", "d.csv", 'id,q,a,c\n1,"?,#### 1,c\n', ["is not CSV"]),
    ("doubled column", "d.csv", "q,a,q\n1,2,3\n", ["two columns named 'q'"]),
    ("not UTF-8", "d.csv", b"id,q,a,c\n1,\xff,#### 1,c\n", ["is not UTF-8"]),
    ("not Parquet", "d.parquet", "id,q,a\n", ["is not Parquet"]),
    ("unknown format", "d.xlsx", "x", ["ending '.xlsx'", "valid: .jsonl, .json, .csv, .parquet"]),
]


@pytest.mark.parametrize(("name", "content", "parts"), [c[1:] for c in BAD_DATA], ids=[c[0] for c in BAD_DATA])
def test_bad_data_file(tmp_path: Path, name: str, content: str | bytes, parts: list[str]) -> None:
    spec = load_task(write_task(tmp_path, prompt="{q} {c}", columns={"id": "id", "question": "q", "answer": "a"}))
    data = tmp_path / name
    data.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TaskError) as caught:
        load_problems(spec, data=data, limit=1)
    message = str(caught.value)
    assert "\n" not in message
    for part in [str(data), *parts]:
        assert part in message


def test_unreadable_data_file(tmp_path: Path, spec: TaskSpec) -> None:
    with pytest.raises(TaskError, match=r"cannot read data file .*nope\.csv: No such file"):
        load_problems(spec, data=tmp_path / "nope.csv")
    whole = all_formats(tmp_path, [{"q": "?" * 5000, "a": "#### 1"}] * 50)[-1].read_bytes()
    torn = tmp_path / "torn.parquet"
    for content in (whole[:-20], whole[:4] + bytes(60) + whole[64:]):
        torn.write_bytes(content)
        with pytest.raises(TaskError, match=r"data file .*torn\.parquet") as caught:
            load_problems(spec, data=torn)
        assert "\n" not in str(caught.value)
    folder = tmp_path / "folder.parquet"
    folder.mkdir()
    with pytest.raises(TaskError, match=r"cannot read data file .*folder\.parquet"):
        load_problems(spec, data=folder)


def test_solution_column_is_optional(tmp_path: Path) -> None:
    spec = load_task(write_task(tmp_path, gold=None, columns={"question": "q", "answer": "a", "solution": "s"}))
    without = write_jsonl(tmp_path / "w.jsonl", [{"q": "?", "a": "1"}])
    some = write_jsonl(tmp_path / "s.jsonl", [{"q": "?", "a": "1", "s": None}, {"q": "?", "a": "1", "s": "so #### 1"}])
    assert load_problems(spec, data=without)[0].fields == {"q": "?", "a": "1"}
    assert [sorted(p.fields) for p in load_problems(spec, data=some)] == [["a", "q"], ["a", "q", "s"]]


# --- multiple choice, filters, folders

CHOICE = {
    "gold": None,
    "columns": {"question": "q", "answer": "a", "options": "c"},
    "prompt": "{q}\n{c}",
    "answer_format": "The answer is ({gold})",
    "grader": "choice",
}


def test_options_become_lines_and_the_gold_holds_them(tmp_path: Path) -> None:
    spec = load_task(write_task(tmp_path, **CHOICE))
    rows = [
        {"q": "one?", "a": 1, "c": ["red", "blue"]},
        {"q": "two?", "a": "A", "c": ["A) True", "B) False"]},
        {"q": "three?", "a": "two  words", "c": [1, "two words", "x\ny"]},
    ]
    assert [(p.fields["c"], p.gold) for p in load_problems(spec, data=write_jsonl(tmp_path / "d.jsonl", rows))] == [
        ("(A) red\n(B) blue", "B\n(A) red\n(B) blue"),
        ("(A) True\n(B) False", "A\n(A) True\n(B) False"),
        ("(A) 1\n(B) two words\n(C) x y", "B\n(A) 1\n(B) two words\n(C) x y"),
    ]


NUMBERS = ["2", "3", "1", "0"]


@pytest.mark.parametrize(
    ("rows", "letters"),
    [
        # Of options that are numbers an index and a text look alike; the other rows tell.
        ([("3", NUMBERS), ("0", ["red", "blue"])], "DA"),
        ([("3", NUMBERS), ("7", ["5", "7"])], "BB"),
        ([("3", NUMBERS), ("blue", ["red", "blue"])], "BB"),
        ([("A", ["B", "A"]), ("C", ["x", "y", "z"])], "AC"),
        ([("A", ["B", "A"]), ("z", ["x", "y", "z"])], "BC"),
        ([("1", ["0", "1"]), ("B", ["x", "y"])], "BB"),  # both readings are the same option
    ],
)
def test_a_column_of_answers_is_read_in_one_way(
    rows: list[tuple[str, list[str]]], letters: str, tmp_path: Path
) -> None:
    spec = load_task(write_task(tmp_path, **CHOICE))
    data = write_jsonl(tmp_path / "d.jsonl", [{"q": f"{k}?", "a": a, "c": c} for k, (a, c) in enumerate(rows)])
    assert "".join(p.gold[0] for p in load_problems(spec, data=data)) == letters


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("3", NUMBERS)], "row 0 has the answer '3', which is option D by its index and option B by its text"),
        (
            [("x", ["x", "y"]), ("B", ["x", "y"]), ("A", ["B", "A"])],
            "row 2 has the answer 'A', which is option A by its",
        ),
        ([("A", ["B", "A"])], "the other rows do not tell which is meant; write letters"),
    ],
)
def test_answers_that_name_two_options(rows: list[tuple[str, list[str]]], said: str, tmp_path: Path) -> None:
    spec = load_task(write_task(tmp_path, **CHOICE))
    data = write_jsonl(tmp_path / "d.jsonl", [{"q": f"{k}?", "a": a, "c": c} for k, (a, c) in enumerate(rows)])
    with pytest.raises(TaskError, match=said):
        load_problems(spec, data=data)


def test_options_in_a_typed_column(tmp_path: Path) -> None:
    """Lists and whole numbers as a hub's Parquet files hold them."""
    table = pa.table({"q": ["one?"], "a": pa.array([1], pa.int64()), "c": pa.array([["red", "blue"]])})
    pq.write_table(table, tmp_path / "d.parquet")
    [problem] = load_problems(load_task(write_task(tmp_path, **CHOICE)), data=tmp_path / "d.parquet")
    assert problem.gold == "B\n(A) red\n(B) blue"


def test_options_with_labels(tmp_path: Path) -> None:
    """Answers are labels, whatever else they could be: letters in some rows and numbers in others, as in ARC."""
    labelled = {"text": pa.array([["red", "blue"], ["1", "2"]]), "label": pa.array([["A", "B"], ["1", "2"]])}
    cells = pa.StructArray.from_arrays(list(labelled.values()), list(labelled))
    pq.write_table(pa.table({"q": ["one?", "two?"], "a": ["B", "1"], "c": cells}), tmp_path / "d.parquet")
    rows = [
        {"q": "one?", "a": "B", "c": [{"label": "A", "text": "red"}, {"label": "B", "text": "blue"}]},
        {"q": "two?", "a": "1", "c": [{"label": "1", "text": "1"}, {"label": "2", "text": "2"}]},
    ]
    spec = load_task(write_task(tmp_path, **CHOICE))
    for data in (tmp_path / "d.parquet", write_jsonl(tmp_path / "d.jsonl", rows)):
        problems = load_problems(spec, data=data)
        assert [p.gold for p in problems] == ["B\n(A) red\n(B) blue", "A\n(A) 1\n(B) 2"]
        assert problems[0].fields["c"] == "(A) red\n(B) blue"


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ({"a": "A", "c": {"text": ["x", "y"]}}, ["row 0 has no list", "or an object of the lists text and label"]),
        ({"a": "A", "c": {"text": ["x", "y"], "label": ["A", "A"]}}, ["row 0 has no list"]),
        ({"a": "A", "c": {"text": ["x", "y"], "label": ["A"]}}, ["row 0 has no list"]),
        ({"a": "A", "c": [{"text": "x", "label": "A"}, "y"]}, ["row 0 has no list"]),
        ({"a": "5", "c": {"text": ["x", "y"], "label": ["1", "2"]}}, ["row 0 has the answer '5'"]),
        ({"a": "0", "c": {"text": ["x", "y"], "label": ["1", "2"]}}, ["row 0 has the answer '0'", "no label or text"]),
        (
            {"a": "1", "c": {"text": ["x", "y"], "label": ["(1)", "(2)"]}},
            ["row 0 has the answer '1'", "no label or text"],
        ),
        ({"a": "1", "c": {"text": ["x", "y"], "label": ["A", "B"]}}, ["row 0 has the answer '1'", "no label or text"]),
        (
            {"a": "2", "c": {"text": ["2", "3"], "label": ["1", "2"]}},
            ["option A by its text and option B by its label", "the other rows do not tell which is meant"],
        ),
        ({"a": "A", "c": {"text": ["x", "y"], "label": ["B", "C"]}}, ["row 0 has the answer 'A'"]),
        ({"a": 2, "c": ["x", "y"]}, ["row 0 has the answer '2'", "none", "2 options"]),
        ({"a": "C", "c": ["x", "y"]}, ["row 0 has the answer 'C'"]),
        ({"a": "x", "c": ["x", "x"]}, ["row 0 has the answer 'x'"]),
        ({"a": 0, "c": "x, y"}, ["row 0 has no list of 2 to 26 texts in column 'c'", "JSON list"]),
        ({"a": 0, "c": ["x"]}, ["row 0 has no list"]),
        ({"a": 0, "c": ["x", ["y"]]}, ["row 0 has no list"]),
        ({"a": 0}, ["no column 'c'", "columns.options"]),
    ],
)
def test_bad_options(tmp_path: Path, row: dict[str, Any], parts: list[str]) -> None:
    spec = load_task(write_task(tmp_path, **CHOICE))
    with pytest.raises(TaskError) as caught:
        load_problems(spec, data=write_jsonl(tmp_path / "d.jsonl", [{"q": "?", **row}]))
    for part in parts:
        assert part.replace("none", "no letter") in str(caught.value)


def test_rows_and_golds_that_are_kept(tmp_path: Path) -> None:
    rows = [
        {"q": f"{i}?", "a": a, "s": s} for i, (a, s) in enumerate([("1", "x"), ("1/2", "y"), ("-3", "y"), ("4", "y")])
    ]
    data = write_jsonl(tmp_path / "d.jsonl", rows)
    spec = load_task(write_task(tmp_path, gold={"matches": r"-?\d+"}, rows={"s": "y"}))
    # Numbered among the rows of the part, whatever the gold: the ids of a task without the filter on golds.
    assert [(p.id, p.gold) for p in load_problems(spec, data=data)] == [("1", "-3"), ("2", "4")]
    assert load_problems(spec, data=data, limit=1)[0].id == "1"
    nothing = load_task(write_task(tmp_path, gold={"matches": "z"}, rows={"s": "y"}))
    with pytest.raises(TaskError, match=r"no row in which s is 'y' and the gold matches 'z', as task mine wants"):
        load_problems(nothing, data=data)


def test_gold_in_the_box_of_a_solution(tmp_path: Path) -> None:
    columns = {"question": "q", "answer": "a", "solution": "s"}
    spec = load_task(write_task(tmp_path, gold={"boxed_in": "s"}, columns=columns, grader="math"))
    with_answer = write_jsonl(tmp_path / "a.jsonl", [{"q": "?", "a": "7"}])
    assert load_problems(spec, data=with_answer)[0].gold == "7"
    boxed = write_jsonl(tmp_path / "b.jsonl", [{"q": "?", "s": r"First \boxed{3}. Then we get \boxed{\frac{1}{2}}."}])
    assert load_problems(spec, data=boxed)[0].gold == r"\frac{1}{2}"
    without = write_jsonl(tmp_path / "w.jsonl", [{"q": "?", "s": "so 3"}])
    with pytest.raises(TaskError, match=r"row 0 has no \\boxed{} in column 's'"):
        load_problems(spec, data=without)


def test_a_folder_in_place_of_a_file(tmp_path: Path, spec: TaskSpec) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    hub = {"id": "x/y", "split": "test", "revision": "main", "file": "mine.jsonl", "train_split": "train"}
    of_hub = load_task(write_task(tmp_path, dataset={"hub": hub}))
    with pytest.raises(TaskError, match=r"task mine: data folder .*data has no mine\.jsonl; give a file"):
        load_problems(of_hub, data=folder)
    write_jsonl(folder / "mine.jsonl", ROWS)
    assert len(load_problems(of_hub, data=folder)) == 2
    with pytest.raises(TaskError, match="has no file with a name that the task gives"):
        load_train_problems(of_hub, data=folder)
    assert load_problems(spec, data=folder) == load_problems(spec), "a task that brings its own files"


# --- the hub


def test_hub_that_cannot_be_reached_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(TaskError, match=r"cannot load openai/gsm8k \(test, revision 7403.*--data FILE") as caught:
        load_problems(load_task("gsm8k"))
    assert "\n" not in str(caught.value)


def test_hub_data_set_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The hub's loader reads a folder of the same layout from disk: splits are tested without network."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    write_jsonl(folder / "test.jsonl", ROWS)
    write_jsonl(folder / "train.jsonl", [{"q": "three?", "a": "#### 3"}])
    hub = {"id": str(folder), "split": "test", "train_split": "train", "revision": "main"}
    spec = load_task(write_task(tmp_path, dataset={"hub": hub}))
    assert [p.gold for p in load_problems(spec)] == ["1", "2"]
    assert [p.gold for p in load_train_problems(spec)] == ["3"]
    assert "Generating" not in capfd.readouterr().err
    no_split = load_task(write_task(tmp_path, dataset={"hub": {**hub, "split": "validation"}}))
    with pytest.raises(TaskError, match=r"cannot load .* \(validation, revision main\).*--data FILE"):
        load_problems(no_split)


def test_hub_is_asked_for_the_pinned_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def refuse(*names: Any, **options: Any) -> None:
        asked.append((*names, options))
        raise ConnectionError("off")

    monkeypatch.setattr("datasets.load_dataset", refuse)
    for load, option in ((load_problems, "--data"), (load_train_problems, "--train-data")):
        with pytest.raises(TaskError, match=rf"from the hub: off; without the hub, give the rows with {option} FILE"):
            load(load_task("gsm8k"))
    commit = "740312add88f781978c0658806c59bc2815b9866"
    assert asked == [("openai/gsm8k", "main", {"split": s, "revision": commit}) for s in ("test", "train")]


# --- identity


def test_task_hash_follows_what_is_asked_and_nothing_else(tmp_path: Path, spec: TaskSpec) -> None:
    problems = load_problems(spec)
    base = task_hash(spec, problems)
    assert base == task_hash(spec, problems)
    assert len(base) == 64

    def changed(**changes: Any) -> str:
        return task_hash(load_task(write_task(tmp_path, **changes)), problems)

    assert changed(description="other", source="other", licence="other", grader="math") == base
    different = [changed(prompt="{q}"), changed(max_tokens=17), changed(stop=["x"]), changed(system="s")]
    rows = (Problem("0", {**ROWS[0], "q": "other?"}, "1"), problems[1])
    different += [task_hash(spec, rows), task_hash(spec, problems[:1]), task_hash(spec, problems[::-1])]
    assert len({base, *different}) == 8
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert task_hash(load_task(write_task(elsewhere)), problems) == base
