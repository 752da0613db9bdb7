"""What the tests of tracking share: the bigram models, tracked once."""

from __future__ import annotations

from pathlib import Path

import pytest
from bigram import make_place, run_track


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base model, a training directory with steps 0 and 4, task, pairs and a probe."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return make_place(tmp_path_factory.mktemp("bigram"))


@pytest.fixture(scope="package")
def tracked(place: Path) -> Path:
    """The training, tracked; tests leave it as it is."""
    out = place / "track"
    done = run_track(place, out)
    assert done.exit_code == 0, done.output
    return out
