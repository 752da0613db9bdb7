"""Sources that cannot be imported, and commands that an imported run cannot do: one line that names what and where."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bon_eval.cli import main
from bon_eval.records import Problem
from bon_eval.store.files import LOCK, TEMPORARY, lock
from bon_eval.store.reader import iter_responses, load_run

Row = dict[str, Any]
Write = Callable[..., Path]
Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": None}, "line 6: column 'text' is null and not a text"),
        ({"text": 7}, "line 6: column 'text' is a int and not a text"),
        ({"id": None}, "line 6 has no id"),
        ({"id": "900"}, "line 6: task arith has no problem '900'"),
        ({"question": "Who?"}, "line 6: problem '1' of task arith asks"),
        ({"log_likelihood": float("nan")}, "line 6: log-likelihood nan must be finite and at most 0"),
        ({"log_likelihood": 0.5}, "line 6: log-likelihood 0.5 must be finite and at most 0"),
        ({"log_likelihood": "much"}, "line 6: column 'log_likelihood' is 'much' and not a number"),
        ({"log_likelihood": -9.0}, "line 6: log-likelihood -9 is not the sum of its token log-probs, -1"),
        ({"token_logprobs": [-0.5, float("-inf")]}, "line 6: token log-prob 1 is -inf"),
        ({"token_logprobs": [-0.5, 0.1]}, "line 6: token log-prob 1 is 0.1"),
        ({"token_ids": [1, 2, 3]}, "line 6: its sizes differ: 3 by token ids, 2 by token log-probs"),
        ({"token_ids": [1, -2]}, "line 6: column 'token_ids' holds something that is no token id"),
        ({"gold": "12345678"}, "the gold answer of problem '1' is '12345678' here and"),
        ({"arm": "low"}, "line 6: column 'arm' is 'low'; it may say greedy or sample"),
        ({"log_likelihood": -(10**400)}, "line 6: column 'log_likelihood' is -1000"),
        ({"token_ids": [1, 10**400]}, "line 6: column 'token_ids' holds something that is no number"),
        ({"id": "\ud83d"}, r"line 6: the id '\ud83d' holds half of a surrogate pair"),
        ({"question": "\ud83d"}, r"line 6: the question '\ud83d' holds half of a surrogate pair"),
        ({"gold": "\ud83d"}, r"line 6: the gold answer '\ud83d' holds half of a surrogate pair"),
    ],
)
def test_a_row_that_cannot_be_true_is_named(
    change: Row, said: str, full_rows: list[Row], write: Write, refused: Refused
) -> None:
    full_rows[5] |= change
    assert said in refused(write(full_rows))


def test_a_source_that_is_no_source(rows: list[Row], write: Write, refused: Refused, tmp_path: Path) -> None:
    assert "there is no file or folder" in refused(tmp_path / "nowhere.jsonl")
    assert "has no rows" in refused(write([], "empty.jsonl"))
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04")
    assert "is a pickle, which runs whatever code it holds" in refused(tmp_path / "a.pkl")
    (tmp_path / "a.txt").write_text("hello")
    assert "is of no format that is known" in refused(tmp_path / "a.txt")
    (tmp_path / "latin.jsonl").write_bytes(json.dumps(rows[0]).encode() + b'\n{"id": "1", "text": "caf\xe9"}\n')
    assert "latin.jsonl, line 2 is not UTF-8 (byte 24 of the line)" in refused(tmp_path / "latin.jsonl")
    whole = write(rows, "whole.jsonl").read_bytes()
    (tmp_path / "half.jsonl").write_bytes(whole[: len(whole) // 2])
    assert "is not JSON" in refused(tmp_path / "half.jsonl")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    assert "is not Parquet, or damaged" in refused(tmp_path / "broken.parquet")
    (tmp_path / "list.jsonl").write_text("[1, 2]\n")
    assert "line 1 is a list and not an object" in refused(tmp_path / "list.jsonl")
    (tmp_path / "ragged.csv").write_text("id,text\n0,a\n1,b,c\n")
    assert "row 1 has 3 values for 2 columns" in refused(tmp_path / "ragged.csv")


@pytest.mark.parametrize(
    ("extra", "way"),
    [
        ({"arm": "greedy"}, ["--draw-column", "none"]),
        ({"log_likelihood": -1.0}, ["--log-likelihood-column", "none"]),
        ({"response": "other"}, ["--text-column", "text"]),
    ],
)
def test_a_column_that_the_first_row_lacks(
    extra: Row, way: list[str], rows: list[Row], write: Write, refused: Refused, bring: Callable[..., Result]
) -> None:
    """Else a greedy response is among the samples, or a stated number read by nobody, without a word."""
    source = write([row | (extra if k == 5 else {}) for k, row in enumerate(rows)])
    said = f"line 6 has a column {next(iter(extra))!r}, which the first row lacks; write it in every row"
    found = refused(source)
    assert said in found
    assert found.endswith(f"or leave it out with {' '.join(way)}")
    assert bring(source, *way).exit_code == 0


def test_a_column_of_a_format_that_the_first_row_lacks(
    problems: Sequence[Problem], write: Write, refused: Refused, bring: Callable[..., Result]
) -> None:
    rows: list[Row] = [
        {"problem": p.fields["question"], "completions": ["#### 1", "#### 2"], "scores": [0.5, 0.25]} for p in problems
    ]
    later = [row | ({"unique_id": problems[2].id} if k == 2 else {}) for k, row in enumerate(rows)]
    assert "line 3 has a column 'unique_id', which the first row lacks" in refused(write(later))
    assert bring(write(rows)).exit_code == 0


def test_more_tokens_than_a_response_can_have(rows: list[Row], write: Write, refused: Refused) -> None:
    source = write([{**row, "n_tokens": 10**12 if k == 5 else 3} for k, row in enumerate(rows)])
    assert "line 6: 1000000000000 tokens are more than a response can have" in refused(source)


def test_texts_that_cannot_be_stored_are_replaced_as_of_sampled_ones(
    rows: list[Row], write: Write, bring: Callable[..., Result], tmp_path: Path
) -> None:
    source = write([{**row, "text": f"\ud83d{row['text']}", "prompt": "\ud83d"} for row in rows])
    assert bring(source).exit_code == 0
    assert {r.text[0] for r in iter_responses(tmp_path / "run")} == {"?"}
    assert load_run(tmp_path / "run").pool.correct[:, 0].all()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"choices": ["#### 1"]}, "at its beginning, is not built as format batch is: AttributeError"),
        ({"choices": [{"text": "x"}], "usage": "many"}, "at its beginning, is not built as format batch is"),
        ({"choices": [{"text": "x", "logprobs": {"content": [1]}}]}, "is not built as format batch is"),
        (
            {"choices": [{"text": "x"}], "model": "a\nb"},
            r"states 'a\nb' as model, which cannot be; say it with --model",
        ),
        ({"choices": [{"text": "x"}], "model": "\ud83d"}, r"states '\ud83d' as model, which cannot be"),
    ],
)
def test_what_no_list_of_checks_foresees_is_one_line(body: Row, said: str, write: Write, refused: Refused) -> None:
    assert said in refused(write([{"custom_id": "0", "response": {"body": body}}]))


def test_what_a_log_says_of_its_sampling_must_be_possible(
    problems: Sequence[Problem], write: Write, bring: Callable[..., Result], refused: Refused
) -> None:
    def log(**asked: object) -> Path:
        rows = [
            {
                "doc_id": int(p.id),
                "doc": dict(p.fields),
                "target": p.gold,
                "arguments": {"gen_args_0": {"arg_0": "?", "arg_1": asked}},
                "resps": [["#### 1"]],
            }
            for p in problems
        ]
        return write(rows)

    assert "states nan as temperature, which cannot be; say it with --temperature" in refused(log(temperature=math.nan))
    assert "states -1 as max-tokens, which cannot be; say it with --max-tokens" in refused(log(max_gen_toks=-1))
    assert "--temperature must be 0 (greedy) or above" in refused(log(), "--temperature", "nan")
    assert "--model '' is no name for a table" in refused(log(), "--model", "")
    assert bring(log(temperature=math.nan), "--temperature", "0.7").exit_code == 0


def test_a_format_that_the_files_are_not_of(rows: list[Row], write: Write, refused: Refused, tmp_path: Path) -> None:
    source = write(rows)
    said = {
        "lm-eval": "has no responses (resps)",
        "every-eval-ever": "only responses of a single turn",
        "inspect": "is no whole zip",
        "batch": "request None failed (no response)",
        "nemo-skills": "generation is null and not a text",
        "monkeys": "is not YAML that can be read safely",
        "search-and-learn": "no column of texts that is known as one",
        "lighteval": "has no generated text",
        "lm_eval": "unknown format 'lm_eval'",
    }
    for name, words in said.items():
        assert words in refused(source, "--format", name), name
    (tmp_path / "empty").mkdir()
    for name in ("lm-eval", "every-eval-ever", "nemo-skills", "monkeys", "dataset"):
        assert f"holds no file of format {name}" in refused(tmp_path / "empty", "--format", name)
    assert "it is a pipe or a device" in refused("/dev/null", "--format", "monkeys")


def test_rows_whose_ids_are_of_other_problems_are_not_matched_by_their_place(
    rows: list[Row], write: Write, bring: Callable[..., Result], refused: Refused, tmp_path: Path
) -> None:
    texts = [{name: row[name] for name in ("id", "text")} for row in rows]  # a row for each response
    assert "line 2 is problem '1' of task arith by its place and '0' by its id" in refused(
        write(texts), "--match", "row"
    )
    assert bring(write(texts[::4]), "--match", "row").exit_code == 0
    assert load_run(tmp_path / "run").pool.correct.all()


def test_columns_that_are_not_there_or_too_many(rows: list[Row], write: Write, refused: Refused) -> None:
    assert "has no column 'reply' (--text-column); it has: id, question, text" in refused(
        write(rows), "--text-column", "reply"
    )
    assert "has columns text and response; say which one it is with --text-column" in refused(
        write([{**row, "response": "x"} for row in rows])
    )
    assert "no column of texts that is known as one" in refused(write([{"id": "0", "words": "x"}]))
    lists = [{"id": "0", "outputs": ["a", "b"], "log_likelihoods": [-1.0]}]
    assert "column 'log_likelihoods' has 1 values for 2 responses" in refused(write(lists))
    assert "the list in column 'outputs' is empty" in refused(write([{"id": "0", "outputs": []}]))


def test_what_stands_there_twice(rows: list[Row], write: Write, refused: Refused, tmp_path: Path) -> None:
    source = write(rows)
    copy = write(rows, "copy.jsonl")
    assert "hold the same content; give each source once" in refused(source, copy)
    numbered = [{**row, "sample_index": k % 4} for k, row in enumerate(rows)]
    assert "response 3 of problem '11' is there twice" in refused(write([*numbered, numbered[-1]]))
    lists = [{"id": "0", "outputs": ["a", "b"]}, {"id": "1", "outputs": ["a", "b"]}, {"id": "0", "outputs": ["a", "b"]}]
    assert "line 3 holds the same responses to problem '0' as" in refused(write(lists))


def test_two_imports_do_not_make_one_run(
    rows: list[Row], write: Write, bring: Callable[..., Result], tmp_path: Path
) -> None:
    assert bring(write(rows)).exit_code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    again = bring(write(rows))
    assert again.exit_code == 2
    assert "exists; give --out another directory, since one import makes one run" in again.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_a_log_of_another_task(problems: Sequence[Problem], write: Write, refused: Refused) -> None:
    golds = [{"id": p.id, "gold": "7,777", "text": "#### 7777"} for p in problems]
    line = refused(write(golds))
    assert "gold answer of problem '0' differs" in line
    assert "and so do 11 others" in line
    assert "is it a log of another task?" in line
    asked = [{"question": "What is love?", "text": "x"}]
    assert "task arith does not ask 'What is love?'; is it a log of another task" in refused(write(asked))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("report RUN --scorer log_likelihood", "scorer 'log_likelihood' needs log-likelihoods"),
        ("report RUN --scorer shortest", "scorer 'shortest' needs numbers of tokens"),
        ("report RUN --scorer min_token_logprob", "scorer 'min_token_logprob' needs token log-probs"),
        ("report RUN --vote weighted", "scorer 'mean_log_likelihood' needs log-likelihoods"),
        ("report RUN --exclude-truncated", "which responses were cut is not known"),
        ("compare RUN RUN", "is given twice"),
        ("score RUN --by RUN", "RUN is imported, with texts of a tokenizer that is not known"),
        ("score RUN --stats entropy", "RUN is imported, with texts of a tokenizer that is not known"),
        ("pairs RUN --recipe best-random --out PAIRS", "recipe best-random needs log-likelihoods"),
        ("pairs RUN --recipe correct-wrong --format conversational --out PAIRS", "--format conversational needs"),
        ("merge RUN", "is a whole run, no shard of one"),
    ],
)
def test_what_an_imported_run_cannot_do_is_one_line(
    command: str, said: str, rows: list[Row], write: Write, bring: Callable[..., Result], tmp_path: Path
) -> None:
    assert bring(write(rows)).exit_code == 0
    names = {"RUN": str(tmp_path / "run"), "PAIRS": str(tmp_path / "pairs.jsonl")}
    result = CliRunner().invoke(main, [names.get(word, word) for word in command.split()])
    assert result.exit_code == 2, result.output
    assert said.replace("RUN", names["RUN"]) in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_plan_needs_numbers_of_tokens(
    rows: list[Row], write: Write, bring: Callable[..., Result], bon_eval: Callable[..., Any], tmp_path: Path
) -> None:
    assert bring(write(rows)).exit_code == 0
    # In a process of its own: a plan loads transformers without torch, and there it stays so.
    done = bon_eval("plan", "--model", "arith-mixed", "--task", "arith", "--like", tmp_path / "run")
    assert done.returncode == 2
    assert "a plan needs numbers of tokens" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_pairs_of_an_imported_run_are_texts_alone(
    rows: list[Row], write: Write, bring: Callable[..., Result], tmp_path: Path
) -> None:
    assert bring(write(rows)).exit_code == 0
    out = tmp_path / "pairs.jsonl"
    result = CliRunner().invoke(main, ["pairs", str(tmp_path / "run"), "--recipe", "correct-wrong", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "cut responses may be among them: the source does not say" in result.output
    pair = json.loads(out.read_text().splitlines()[0])
    assert pair["chosen"].startswith("#### ")
    assert not {name for name in pair if name.endswith("token_ids")}


def test_a_run_that_another_import_makes_just_now_is_left_alone(
    rows: list[Row], write: Write, bring: Callable[..., Result], tmp_path: Path
) -> None:
    source, other = write(rows), tmp_path / f"{TEMPORARY}import-run"
    other.mkdir()
    (other / "grades.parquet").write_text("of a killed import")
    with closing(lock(other)):
        refused = bring(source)
        assert refused.exit_code == 2
        assert "is in use by process" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        assert {path.name for path in other.iterdir()} == {LOCK, "grades.parquet"}
        assert not (tmp_path / "run").exists()
    assert bring(source).exit_code == 0
    assert not other.exists()
    assert LOCK not in {path.name for path in (tmp_path / "run").iterdir()}
