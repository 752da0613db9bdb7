"""Models from the hub: a revision's files, each of its weights once, in the hub client's own cache."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from bon_eval.engines.model_files import check_weights, index_shards, model_files, names_in
from bon_eval.errors import ModelError, first_line

_COMMIT = re.compile(r"[0-9a-f]{40}")


def hub_model(name: str, revision: str | None, *, weights: bool = True) -> tuple[Path, str]:
    """A hub model's folder in the cache, complete, and its commit.

    A branch or a tag is looked up each time. With HF_HUB_OFFLINE=1 the commit is the one that the cache has for it, and
    nothing is asked of the hub; without, a hub that does not answer is an error, unless `revision` is a commit and
    the cache has it. An interrupted download goes on with the files that it lacks.

    Args:
        name: as ``owner/model``.
        revision: branch, tag or whole commit. [default: the hub's]
        weights: False leaves the weights where they are.

    Raises:
        ModelError: there is no such model or revision, no access to it, no hub, or no weights that can be loaded.
    """
    try:
        from huggingface_hub import HfApi, constants
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    except ImportError as error:
        raise ModelError(
            f"model {name!r} is no local directory, and reading the hub needs: pip install 'bon-eval[transformers]'"
        ) from error
    try:
        found = HfApi().model_info(name, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except OfflineModeIsEnabled:
        return _cached(name, revision, weights)
    except (HfHubHTTPError, HFValidationError) as error:
        raise ModelError(_refusal(name, revision, error)) from error
    except Exception as error:  # the client, its transport and their own dependencies raise anything
        if revision is not None and _COMMIT.fullmatch(revision) and _snapshot(name, revision) is not None:
            return _cached(name, revision, weights)
        raise ModelError(
            f"model {name!r}: the hub ({constants.ENDPOINT}) does not answer ({first_line(error)}); try again, or set "
            "HF_HUB_OFFLINE=1 to take the commit that the cache has"
        ) from error
    return _download(name, revision, str(found.sha), [file.rfilename for file in found.siblings or ()], weights)


def _download(name: str, revision: str | None, commit: str, names: list[str], weights: bool) -> tuple[Path, str]:
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    def shards(index: str) -> tuple[str, ...]:
        return index_shards(Path(hf_hub_download(name, index, revision=commit)))

    if "config.json" not in names:
        raise ModelError(
            f"hub model {name!r} has no config.json; "
            + (
                "it is an adapter: download it, and give its folder as --adapter and its base as --model"
                if "adapter_config.json" in names
                else "it cannot be loaded as a language model"
            )
        )
    try:
        files = model_files(names, shards, weights=weights)
        if weights:
            check_weights(f"hub model {name!r} ({commit[:8]})", names, files)
        directory = Path(snapshot_download(name, revision=revision, allow_patterns=[glob.escape(f) for f in files]))
    except ModelError:
        raise
    except HfHubHTTPError as error:
        raise ModelError(_refusal(name, revision, error)) from error
    except Exception as error:  # as above, and whatever a full disk or a cut connection becomes on the way
        raise ModelError(
            f"the download of model {name!r} broke off ({first_line(error)}); run the same command again, which "
            "fetches what is not there yet"
        ) from error
    if directory.name != commit:
        raise ModelError(f"hub model {name!r} was changed while it was downloaded; run the same command again")
    _check_complete(name, directory, files)
    return directory, commit


def _cached(name: str, revision: str | None, weights: bool) -> tuple[Path, str]:
    """The model as the cache has it, without asking the hub.

    What has to be there is known from the client's own listing of the commit, or, where the cache has none (its files
    were fetched one by one), from what is there.
    """
    from huggingface_hub import constants

    directory = _snapshot(name, revision)
    if directory is None:
        raise ModelError(
            f"HF_HUB_OFFLINE is set, and the cache ({constants.HF_HUB_CACHE}) has no model {name!r}"
            + (f" at {revision!r}" if revision is not None else "")
            + "; run once with the hub in reach, or give a local directory"
        )
    there = names_in(directory)
    names = {*_listed(name, directory.name), *there}
    files = model_files(names, lambda index: index_shards(directory / index), weights=weights)
    _check_complete(name, directory, files)
    if weights:
        check_weights(f"model {name!r} in {directory}", there, files)
    return directory, directory.name


def _snapshot(name: str, revision: str | None) -> Path | None:
    """The folder of the cache with a revision's files, or with some of them."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True, allow_patterns=["config.json"]))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def _listed(name: str, commit: str) -> list[str]:
    """The commit's files as the client has noted them; empty where it has not, as older clients never do."""
    try:
        from huggingface_hub import get_cached_repo_tree
        from huggingface_hub.errors import CachedRepoTreeNotFoundError
    except ImportError:
        return []
    try:
        return [file.path for file in get_cached_repo_tree(name, revision=commit)]
    except CachedRepoTreeNotFoundError:
        return []


def _check_complete(name: str, directory: Path, files: tuple[str, ...]) -> None:
    lacking = [file for file in files if not (directory / file).is_file()]
    if "config.json" not in files:
        lacking.insert(0, "config.json")
    if lacking:
        raise ModelError(
            f"the cache has model {name!r} only in part ({directory}): {lacking[0]} is missing"
            + (f" and {len(lacking) - 1} more" if len(lacking) > 1 else "")
            + "; run once with the hub in reach, without HF_HUB_OFFLINE"
        )


def _refusal(name: str, revision: str | None, error: Exception) -> str:
    """What the hub's refusal means, and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"{constants.ENDPOINT}/{name}"
    if isinstance(error, GatedRepoError):
        return (
            f"model {name!r} is gated: ask for access at {page}, then log in with `hf auth login` or set HF_TOKEN to a "
            "token of that account"
        )
    if isinstance(error, RevisionNotFoundError):
        return (
            f"model {name!r} has no revision {revision!r} on the hub; give a branch, a tag or a whole commit of {page}"
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"model {name!r} is neither a local directory nor an embedded model, and there is no {page} that you may "
            "read; check the name, or, for a private model, log in with `hf auth login` or set HF_TOKEN"
        )
    if isinstance(error, HfHubHTTPError):
        code = error.response.status_code
        todo = "check HF_TOKEN, or `hf auth login` again" if code in (401, 403) else "run the same command again later"
        return f"the hub refuses model {name!r} with HTTP {code} ({first_line(error)}); {todo}"
    return f"model {name!r} is neither a local directory, an embedded model, nor a hub name ({first_line(error)})"
