"""A run whose every text is hostile, for pages: the texts, the run on disk, and what a page makes of a text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from example_config import CONFIG as EXAMPLE

from bon_eval.draws import DrawSpec
from bon_eval.records import Problem, Response
from bon_eval.run.grading import grade_run
from bon_eval.store.reader import Run, iter_responses
from bon_eval.store.writer import RunStore

HOSTILE = [
    "<script>window.pwned = 1</script> #### 1",
    "</script><script>window.pwned = 2</script> #### 1",
    "<img src=x onerror='window.pwned=3'> #### 2",
    "<!-- <script> --> ]]> &lt;b&gt; &amp; &#60; #### 1",
    "\u202eabc\u202c \u2066x\u2069 \u200f right to left",
    "nul \0 bell \a escape \x1b[31m tab \t end",
    '=HYPERLINK("http://example.invalid") #### 3',
    "+1 -1 @SUM(A1) #### 1",
    "javascript:window.pwned=4 \u2028 \u2029 line separators",
    "é 漢字 🙂 ﷽ #### 1",
    "x" * 1_000_000 + " #### 1",
    "lone \ud800 surrogate #### 2",
    "{{constructor.constructor('window.pwned=5')()}} ${window.pwned=6} #### 1",
    "`${alert(1)}` \\u003cscript\\u003e #### 1",
]
CONFIG = replace(EXAMPLE, task="<b>task</b>", model="m</title><script>window.pwned=7</script>")


def store_run(
    directory: Path, problems: list[Problem], texts: list[str], n: int, draws: tuple[DrawSpec, ...] = ()
) -> Path:
    prompts = pa.table(
        {"prompt": ["?"] * len(problems), "prompt_token_ids": pa.array([[1]] * len(problems), pa.list_(pa.int32()))}
    )
    with RunStore(directory, replace(CONFIG, n=n, draws=draws), problems, prompts) as store:
        store.begin_session("now", {"python": "3"}, {"name": "none", "version": "<i>0</i>"})
        for k, problem in enumerate(problems):
            for arm, size in (("greedy", 1), ("sample", n), *((draw.name, draw.n) for draw in draws)):
                store.append(
                    [
                        Response(
                            problem.id,
                            arm,  # type: ignore[arg-type]
                            i,
                            texts[(i + k + 3 * len(arm)) % len(texts)],
                            (5, 2),
                            (-0.1 * ((i * 7 + k + len(arm)) % 11) - 0.1, -0.5),
                            "length" if i % 5 == 4 else "stop",
                        )
                        for i in range(size)
                    ]
                )
        store.finish_sampling()
    grade_run(directory, quiet=True)
    return directory


def shown(text: str) -> str:
    """What the page makes of a stored text: hidden characters become visible ones."""

    def visible(match: re.Match[str]) -> str:
        code = ord(match[0])
        return chr(0x2400 + code) if code < 32 else f"\u27e8U+{code:04X}\u27e9"

    hidden = "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
    return re.sub(hidden, visible, text)


def check_browser(tab: Any, run: Run) -> None:
    """The problem browser of a page of the run shows every response of its first problem as it is, and runs none."""
    tab.click("text=next >> nth=0")
    tab.click("text=previous")
    tab.click(".problem > button >> nth=0")
    while tab.query_selector("text=more responses"):
        tab.click("text=more responses")
    boxes = tab.query_selector_all(".response")
    assert len(boxes) == run.pool.n + 1
    problem = run.pool.problem_ids[0]
    stored = {(r.arm, r.index): r for r in iter_responses(run.path) if r.problem_id == problem}
    seen = set()
    for box in boxes:
        name = box.query_selector(".head b").text_content()
        key = ("greedy", 0) if name == "greedy" else ("sample", int(name.split()[1]))
        text = box.query_selector(":scope > .text").text_content()
        assert text == shown(stored[key].text[:4000])
        assert f"{stored[key].log_likelihood:.2f} nats" in box.text_content()
        assert ("cut at the token limit" in box.text_content()) == (stored[key].finish_reason == "length")
        seen.add(key)
    assert seen == set(stored)
    assert "996,007 more characters" in tab.text_content("#problems")
    assert tab.evaluate("window.pwned") is None
    assert tab.query_selector_all("img, iframe, object, embed") == []
    assert len(tab.query_selector_all("script")) == 2
