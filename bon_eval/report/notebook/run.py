"""A stored run in Python: what `bon_eval.load_run` and `bon_eval.run` give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bon_eval.errors import ConfigError, unknown_name
from bon_eval.store import reader

if TYPE_CHECKING:
    import pandas as pd

    from bon_eval.analysis.imported.either import AnyAnalysis
    from bon_eval.report.notebook.plots import Plots
    from bon_eval.report.stored.own import Asked

RunTable = Literal["responses", "problems", "arms", "curves"]


class Run(reader.Run):
    """A stored run with its grades; the arrays of `bon_eval.store.reader.Run`, and what the report makes of them.

    What analyses takes the run's own settings (those that `bon-eval run` was given last) and, in their place, keyword
    arguments of `bon_eval.analysis.analyse.analyse`: ``scorers``, ``votes``, ``ns``, ``seed``, ``draws``,
    ``exclude_truncated``, ``margin``, ``looks``, ``cluster``. An analysis is made once and kept.
    """

    def analysis(self, **settings: Any) -> AnyAnalysis:
        """Arms, curves, problems and facts; of an imported run that lacks something those that it can have.

        Raises:
            ConfigError: a setting that is none, or cannot be.
            StoreError: the run does not hold what a scorer needs.
        """
        return self._analysed(settings)[1]

    def report(
        self,
        *,
        name: str | None = None,
        out: Path | str | None = None,
        own: bool = False,
        html: bool = True,
        texts: bool = True,
        **settings: Any,
    ) -> Path:
        """Write a report's files, as `bon-eval report` does; the directory in which they lie.

        Args:
            name: of a report beside the run's own, in ``reports/NAME`` of the run.
            out: where another report than the run's own goes.
            own: make these settings the run's own.
            html: also the page and the figures.
            texts: with problem and response texts in the page.
            settings: as of `analysis`.

        Raises:
            ConfigError: settings that are not the run's own, without a name, a place or `own`; as of `analysis`.
            StoreError: a file cannot be written.
        """
        from bon_eval.report.stored.any_run import write_any
        from bon_eval.report.stored.own import differing, place

        if own and (name is not None or out is not None):
            raise ConfigError("own=True makes the run's own report, in its directory; drop it, or name and out")
        asked = self._asked(settings)
        into = None if name is None and out is None else place(self.path, name, None if out is None else Path(out))
        others = differing(self._own(), asked, self.pool.n)
        if into is None and others and not own:
            raise ConfigError(
                f"these settings are not the run's own: {'; '.join(others)}; give name= or out= for a report beside "
                "its own, or own=True to make them the run's own"
            )
        directory, called = (self.path, None) if into is None else into
        stored, analysis = self._analysed(settings)
        write_any(stored, analysis, directory, html=html, texts=texts, name=called)
        return directory

    @property
    def plot(self) -> Plots:
        """The figures of the run's own report, as matplotlib axes; `plots` takes other settings."""
        return self.plots()

    def plots(self, **settings: Any) -> Plots:
        """The figures of an analysis, as matplotlib axes."""
        from bon_eval.report.notebook.plots import Plots

        return Plots(self.analysis(**settings))

    def to_pandas(self, table: RunTable = "responses", **settings: Any) -> pd.DataFrame:
        """The run as a tidy frame.

        Args:
            table: ``responses`` and ``problems`` as of `bon_eval.store.reader.Run.to_pandas`. ``arms``: a row for each
                way to answer, with the columns of report.csv. ``curves``: a row for each scorer, vote and oracle at
                each n, with those of curves.csv.
            settings: of ``arms`` and ``curves``, as of `analysis`.

        Raises:
            ConfigError: another table; settings for a table that is not analysed.
        """
        if table not in ("arms", "curves"):
            if settings:
                raise ConfigError(f"the table {table} is of the stored run itself; drop {', '.join(settings)}")
            if table not in ("responses", "problems"):
                raise ConfigError(unknown_name("table", table, ["responses", "problems", "arms", "curves"]))
            return super().to_pandas(table)
        import pandas as pd

        from bon_eval.report.stored.any_run import cells_of

        return pd.DataFrame(cells_of(self.analysis(**settings), "arms" if table == "arms" else "curves"))

    def _repr_html_(self) -> str:
        """The arms table of the run's own report, for a notebook."""
        from bon_eval.report.notebook.table import html_table
        from bon_eval.report.stored.any_run import arms_of

        return html_table(repr(self), arms_of(self.analysis()))

    def _analysed(self, settings: Mapping[str, Any]) -> tuple[reader.Run, AnyAnalysis]:
        """The run with all that the settings need, and its analysis; each once."""
        from bon_eval.report.stored.own import analysed

        asked = self._asked(settings)
        made: dict[Asked, tuple[reader.Run, AnyAnalysis]] = self.__dict__.setdefault("_analyses", {})
        if asked not in made:
            partial = len(self.problems) > len(self.pool.problem_ids)
            made[asked] = analysed(self.path, asked, partial=partial, loaded=self)
        return made[asked]

    def _asked(self, settings: Mapping[str, Any]) -> Asked:
        """The run's own settings with others in their place."""
        from bon_eval.report.stored.own import Asked

        known = [field.name for field in fields(Asked)]
        for name in settings:
            if name not in known:
                raise ConfigError(unknown_name("setting", name, known))
        given = {name: _plain(name, value) for name, value in settings.items()}
        return replace(self._own(), **given)

    def _own(self) -> Asked:
        """The run's own settings."""
        from bon_eval.report.stored.own import own_settings

        return own_settings(self.path, self.meta["config"], self.pool.absent)[0]


def _plain(name: str, value: Any) -> Any:
    """A list of names or numbers as a tuple; one alone is a list of one."""
    if name not in ("scorers", "votes", "ns") or value is None:
        return value
    return (value,) if isinstance(value, str | int) else tuple(value)


def load_run(
    path: Path | str, *, token_logprobs: bool = False, partial: bool = False, scorers: Sequence[str] = ()
) -> Run:
    """Load a run's arrays and grades; arguments and errors as of `bon_eval.store.reader.load_run`."""
    stored = reader.load_run(path, token_logprobs=token_logprobs, partial=partial, scorers=scorers)
    return Run(**{field.name: getattr(stored, field.name) for field in fields(stored)})
