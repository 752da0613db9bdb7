"""One import: a source's responses matched to a task's problems, stored and graded as a run, or nothing at all."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bon_eval.config import digest
from bon_eval.draws import GREEDY
from bon_eval.errors import Boundary, ConfigError, SourceError
from bon_eval.exchange.columns import Columns
from bon_eval.exchange.match import FromSource, GoldCheck, Golds, Match, Matcher, in_task_order
from bon_eval.exchange.readers import About, Reader, reader_of
from bon_eval.exchange.reading import Reading
from bon_eval.exchange.run_json import config_of, prompt_rows
from bon_eval.exchange.sample import Sample
from bon_eval.exchange.staging import renumber, staged, tables
from bon_eval.exchange.verdicts import FILE, Agreement, agreement
from bon_eval.run.grading import grade_run
from bon_eval.run.versions import versions
from bon_eval.store.extent import FORMAT, make_problems, write_problems
from bon_eval.store.files import write_text
from bon_eval.store.parts import write_part
from bon_eval.tasks.load import load_task
from bon_eval.tasks.problems import load_problems, spec_hash


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a user asks for."""

    sources: tuple[Path, ...]
    """Files or folders of one format."""
    task: str
    model: str | None = None
    """A name for tables; None: the one that the source states."""
    out: Path | None = None
    format: str | None = None
    """Of `bon_eval.exchange.readers.READERS`; None: told by the files."""
    greedy: Path | None = None
    """A source of the same format with a greedy response to each problem."""
    columns: Columns = field(default_factory=Columns)
    data: Path | None = None
    match: Match = "auto"
    golds: Golds = "agree"
    problems_from_source: bool = False
    temperature: float | None = None
    max_tokens: int | None = None
    """How the responses were sampled, where the user knows more than the source says."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made."""

    directory: Path
    problems: int
    task_problems: int | None
    """Problems of the task; None where the source stands for it."""
    smallest: int
    largest: int
    """Responses of the problem with fewest, and with most."""
    fewest: str
    """A problem with fewest."""
    matched_by: str
    log_likelihood: str | None
    """Where log-likelihoods come from; None where there are none."""
    absent: Mapping[str, str]
    golds: str | None
    """The gold answers that differ, in words."""
    agreement: Agreement | None
    """Of the source's own verdicts with the grader's; None where it states none."""
    notices: tuple[str, ...]


def import_source(options: ImportOptions, *, quiet: bool = False) -> Imported:
    """Make a run of responses that another program has sampled.

    Raises:
        ConfigError: a temperature or limit out of its range.
        SourceError: the source is no such file, damaged, of another task, or lacks what is needed; the message names
            file and row. Nothing is left behind.
        BonEvalError: as loading a task and grading do.
    """
    if options.temperature is not None and not 0 <= options.temperature < math.inf:
        raise ConfigError(f"--temperature must be 0 (greedy) or above, got {options.temperature}")
    if options.max_tokens is not None and options.max_tokens < 1:
        raise ConfigError(f"--max-tokens must be at least 1, got {options.max_tokens}")
    if options.model is not None and not _is_name(options.model):
        raise ConfigError(f"--model {options.model!a} is no name for a table; give one in printable characters")
    spec = load_task(options.task)
    reader = reader_of(options.sources[0], options.format)
    files = _files(reader, options.sources)
    greedy = () if options.greedy is None else _files(reader, [options.greedy])
    hashes = _hashes([*files, *greedy])
    about = _together([_about(reader, file, options) for file in files], files, options)
    model = about.model or _plain(files[0].stem)
    own = FromSource(spec) if options.problems_from_source else None
    task = () if own is not None else load_problems(spec, data=options.data)
    matcher = Matcher(spec, task, options.match)
    golds = GoldCheck(spec, options.golds) if own is None else None
    reading = Reading(own or matcher, golds)
    asked = {k: v for k, v in asdict(options).items() if k in ("columns", "match", "golds", "problems_from_source")}
    content = {"sha256": list(hashes.values()), "greedy": len(greedy), "format": reader.name, "task": spec_hash(spec)}
    identity: dict[str, object] = {"imported": content | asked}
    slug = model.rstrip("/").rpartition("/")[2].strip(".") or "model"
    target = options.out or Path("results") / spec.name / slug / digest(identity)[:12]
    with staged(target) as folder:
        (folder / "responses").mkdir()
        samples = _samples(reader, files, greedy, options.columns)
        write_part(folder / "responses", 0, 0, digest(identity), tables(reading.numbered(samples), folder / FILE))
        if reading.has_gaps:
            renumber(folder, digest(identity), reading.place, FILE)
        smallest, largest = reading.sizes()
        problems = tuple(own) if own is not None else in_task_order(reading.found, task)
        problems = problems if golds is None else golds.settle(problems)
        prompts = reading.prompts if len(reading.prompts) == len(problems) else {}  # of some: not known of the others
        absent = reading.absent()
        matched_by = "what the source states" if own is not None else matcher.how
        nats = None if "log_likelihood" in absent else reading.stated.origin()
        source = {
            "format": reader.name,
            "files": [{"path": _plain(str(f)), "bytes": f.stat().st_size, "sha256": sha} for f, sha in hashes.items()],
            "task": None if about.task is None else _plain(about.task),
            "columns": dict(about.columns),
            "matched_by": matched_by,
            "golds": "source" if own is not None else options.golds,
            "other_golds": {} if golds is None else golds.different,
            "task_problems": None if own is not None else len(task),
            "smallest_pool": smallest,
            "largest_pool": largest,
            "log_likelihood": nats,
            "prompts": "stated by the source" if prompts else "not stated by the source: the task's template",
            "absent": absent,
            "imported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        write_problems(folder, make_problems(problems, prompt_rows(spec, problems, prompts)))
        config = config_of(
            spec,
            problems,
            model=model,
            n=smallest,
            greedy=reading.has_greedy,
            temperature=about.temperature,
            max_tokens=about.max_tokens,
            data=options.data,
        )
        meta: dict[str, Any] = {"format": FORMAT, "identity": identity, "sessions": [], "state": "sampled"}
        meta |= {"config": config, "draws": {}, "versions": versions(), "engine": {}, "source": source}
        write_text(folder / "run.json", json.dumps(meta, indent=2, ensure_ascii=False) + "\n")
        grade_run(folder, quiet=quiet)
        found = agreement(folder)
    return Imported(
        directory=target,
        problems=len(problems),
        task_problems=None if own is not None else len(task),
        smallest=smallest,
        largest=largest,
        fewest=reading.fewest(),
        matched_by=matched_by,
        log_likelihood=nats,
        absent=absent,
        golds=None if golds is None or not golds.different else golds.mismatches(),
        agreement=found,
        notices=(
            *about.notices,
            *(() if about.model else (f"the source names no model: {model} is its file's name; --model states it",)),
        ),
    )


def _files(reader: Reader, sources: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for source in sources:
        if not source.exists():
            raise SourceError(f"there is no file or folder {source}; give the path of a source")
        of_source = list(reader.files(source))
        if not of_source:
            raise SourceError(f"{source} holds no file of format {reader.name}; give another")
        found += of_source
    return found


def _hashes(files: Sequence[Path]) -> dict[Path, str]:
    """File -> SHA-256; raises `SourceError` for one content given twice, whose responses would count twice."""
    found: dict[Path, str] = {}
    known: dict[str, Path] = {}
    for file in files:
        try:
            with file.open("rb") as stream:
                sha = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise SourceError(f"cannot read {file}: {error.strerror or error}; give a readable file") from error
        if (same := known.setdefault(sha, file)) is not file:
            raise SourceError(f"{file} and {same} hold the same content; give each source once")
        found[file] = sha
    return found


def _samples(reader: Reader, files: Sequence[Path], greedy: Sequence[Path], columns: Columns) -> Iterator[Sample]:
    for file in files:
        yield from _understood(reader, file, columns)
    for file in greedy:
        for sample in _understood(reader, file, columns):
            yield replace(sample, draw=GREEDY)


def _understood(reader: Reader, file: Path, columns: Columns) -> Iterator[Sample]:
    """The responses of a file; one that is built otherwise than the format says is one line, which says where."""
    found = reader.samples(file, columns)
    where = f"{file}, at its beginning,"
    while True:
        with _built_as(reader, where):
            sample = next(found, None)
        if sample is None:
            return
        where = f"{sample.where}: what follows it"
        yield sample


def _built_as(reader: Reader, where: str) -> Boundary:
    """Around what a reader makes of a file: fields hold what no list of checks foresees."""
    remedy = "drop that row, or name the file's format with --format"
    return Boundary(SourceError, f"{where} is not built as format {reader.name} is", remedy)


_POSSIBLE: Mapping[str, Callable[[Any], bool]] = {
    "model": lambda value: isinstance(value, str) and _is_name(value),
    "temperature": lambda value: isinstance(value, int | float) and 0 <= value < math.inf,
    "max_tokens": lambda value: isinstance(value, int) and 1 <= value < 2**31,
}
"""What a source says of itself, where an option can say it in its place."""


def _about(reader: Reader, file: Path, options: ImportOptions) -> About:
    """What a file says of itself; raises `SourceError` for what cannot be, unless an option says otherwise."""
    with _built_as(reader, str(file)):
        found = reader.about(file, options.columns)
    for name, fits in _POSSIBLE.items():
        stated = getattr(found, name)
        if stated is not None and getattr(options, name) is None and not fits(stated):
            option = name.replace("_", "-")
            raise SourceError(f"{file} states {stated!a} as {option}, which cannot be; say it with --{option}")
    return found if isinstance(found.task, str) else replace(found, task=None)


def _plain(name: str) -> str:
    """A name of a file, which need not be UTF-8, as it can be stored."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _is_name(model: str) -> bool:
    return bool(model.strip()) and model.isprintable()


def _together(abouts: Sequence[About], files: Sequence[Path], options: ImportOptions) -> About:
    """What the files say, and the user instead where an option does.

    Raises:
        SourceError: two files of other models, temperatures or limits: they are two runs.
    """
    found = abouts[0]
    for about, file in zip(abouts, files, strict=True):
        for name in ("model", "task", "temperature", "max_tokens"):
            one, other = getattr(found, name), getattr(about, name)
            if one != other and getattr(options, name, None) is None:
                raise SourceError(
                    f"{files[0]} and {file} are two runs: {name.replace('_', ' ')} {one} and {other}; import each by "
                    "itself"
                )
    given = {name: getattr(options, name) for name in ("model", "temperature", "max_tokens")}
    notices = tuple(dict.fromkeys(notice for about in abouts for notice in about.notices))
    return replace(found, notices=notices, **{name: value for name, value in given.items() if value is not None})
