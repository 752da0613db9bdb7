"""Models from a hub of this test's own: revisions, what is fetched, who may read, and what breaks on the way."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hub_server import TOKEN, Hub, Repository
from safetensors.numpy import save

from bon_eval.engines.hashes import content_hash
from bon_eval.engines.load import load_tokenizer
from bon_eval.engines.models import ASSETS

ROOT = Path(__file__).resolve().parents[2]
MIXED, WORKED = ASSETS / "arith-mixed", ASSETS / "arith-worked"
NAME = "lab/arith"
RESOLVE = """
import json, sys
from bon_eval.engines.models import resolve_model
from bon_eval.errors import ModelError
for name, revision, weights in json.loads(sys.argv[1]):
    try:
        model = resolve_model(name, revision, weights=weights)
        print(json.dumps([str(model.directory), model.revision, model.content_hash]))
    except ModelError as error:
        print(json.dumps(str(error)))
"""
Command = Callable[..., subprocess.CompletedProcess[str]]


class Client:
    """A user's machine with a cache of its own; each call is a process, as the client reads its settings at import."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self.hub, self.home = hub, home
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
        self.env |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "PYTHONPATH": str(ROOT)}
        self.env["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

    def each(self, *models: tuple[str, str | None], weights: bool = True, **env: str) -> list[tuple[Path, str, str]]:
        """(folder, commit, hash) of each (name, revision), or the error's text."""
        asked = json.dumps([[*model, weights] for model in models])
        done = subprocess.run(
            [sys.executable, "-c", RESOLVE, asked], env=self.env | env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        return [a if isinstance(a, str) else (Path(a[0]), a[1], a[2]) for a in answers]

    def one(self, name: str = NAME, revision: str | None = None, *, weights: bool = True, **env: str):
        """The same of one model."""
        return self.each((name, revision), weights=weights, **env)[0]


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as running:
        running.repositories[NAME] = Repository()
        yield running


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Client:
    return Client(hub, tmp_path / "hf")


def test_a_run_from_the_hub_goes_on_offline(hub: Hub, client: Client, tmp_path: Path) -> None:
    commit = hub.repositories[NAME].commit(files_of(MIXED), "v1")
    hub.repositories[NAME].commit(files_of(WORKED), "main")
    command = [sys.executable, "-m", "bon_eval.cli", "run", "--model", NAME, "--revision", "v1", "--task", "arith"]
    command += ["--limit", "3", "--max-tokens", "24", "--engine", "transformers", "--dtype", "float32"]
    command += ["--n", "2", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, env=client.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert (config["model"], config["revision"], config["model_hash"]) == (NAME, commit, content_hash(MIXED))
    asked = hub.asked
    offline = client.env | {"HF_HUB_OFFLINE": "1"}
    more = subprocess.run(command, env=offline, capture_output=True, text=True, check=False)
    assert more.returncode == 0, more.stderr
    assert "nothing to sample" in more.stderr
    assert hub.asked == asked


def test_branch_tag_and_commit(hub: Hub, client: Client) -> None:
    repository = hub.repositories[NAME]
    old = repository.commit(files_of(MIXED), "v1", "main")
    new = repository.commit(files_of(WORKED), "dev")
    found = client.each((NAME, None), (NAME, "main"), (NAME, "v1"), (NAME, "dev"), (NAME, new), (NAME, old))
    assert [commit for _, commit, _ in found] == [old, old, old, new, new, old]
    assert {(commit, digest) for _, commit, digest in found} == {
        (old, content_hash(MIXED)),
        (new, content_hash(WORKED)),
    }
    assert hub.fetched["model.safetensors"] == 2
    repository.refs["main"] = new  # what the branch names may move; the tag's stays
    moved = client.each((NAME, None), (NAME, "v1"))
    assert [commit for _, commit, _ in moved] == [new, old]
    assert hub.fetched["model.safetensors"] == 2


WEIGHTS = save({"w": np.zeros(2, dtype=np.float32)})
SHARDS = {f"model-0000{i}-of-00002.safetensors": save({name: np.zeros(i)}) for i, name in ((1, "a"), (2, "b"))}
INDEX = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})
BINS = {
    name.replace("model-", "pytorch_model-").replace(".safetensors", ".bin"): b"bin of " + content
    for name, content in SHARDS.items()
}
BIN_INDEX = json.dumps({"weight_map": dict(zip("ab", BINS, strict=True))})
NEEDED = {"config.json": b"{}", "tokenizer.json": b"[]", "additional_chat_templates/tool.jinja": b"t"}
UNUSED = [
    *("README.md", "LICENSE", ".gitattributes", "figure.png", "tf_model.h5", "flax_model.msgpack", "model.onnx"),
    *("original/consolidated.00.pth", "original/params.json", "original/tokenizer.model", "onnx/model.onnx_data"),
    *("consolidated.safetensors", "model.Q4_K_M.gguf", "coreml/weights.bin", "checkpoint-10/model.safetensors"),
    *("rust_model.ot", "training_args.bin", "optimizer.pt", "runs/events.out.tfevents.1.host"),
]
LAYOUTS = {
    "shards": {**SHARDS, "model.safetensors.index.json": INDEX.encode()},
    "bin": {"pytorch_model.bin": b"weights"},
    "bin-shards": {**BINS, "pytorch_model.bin.index.json": BIN_INDEX.encode()},
    "tiktoken": {
        "model.safetensors": WEIGHTS,
        "vocab.tiktoken": b"v",
        "tokenizer.model": b"s",
        "tokenization_x.py": b"p",
    },
}


@pytest.mark.parametrize(
    ("layout", "besides"),
    [
        ("shards", {**LAYOUTS["bin"], **BINS, "model.fp16.safetensors": b"half"}),
        ("bin", {}),
        ("bin-shards", {}),
        ("tiktoken", {**LAYOUTS["bin"], **SHARDS, "model.fp16.safetensors": b"half"}),
    ],
)
def test_weights_are_fetched_once_and_a_full_copy_is_the_same_model(
    hub: Hub, client: Client, tmp_path: Path, layout: str, besides: dict[str, bytes]
) -> None:
    wanted = NEEDED | LAYOUTS[layout]
    everything = dict.fromkeys(UNUSED, b"never") | besides | wanted
    hub.repositories[NAME].commit(everything, "main")
    folder, _, digest = client.one()
    assert hub.fetched == dict.fromkeys(wanted, 1)
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == set(wanted)
    copy = tmp_path / "copy"
    for name, content in everything.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)
    assert content_hash(copy) == digest


def test_to_show_a_prompt_no_weights_are_fetched(hub: Hub, client: Client) -> None:
    files = files_of(MIXED) | {"pytorch_model.bin": b"weights too"}
    hub.repositories[NAME].commit(files, "main")
    command = [sys.executable, "-m", "bon_eval.cli", "tasks", "show", "arith", "--model", NAME]
    done = subprocess.run(command, env=client.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--- token ids" in done.stdout
    assert hub.fetched.keys() == {name for name in files if name.endswith((".json", ".csv"))}


def test_a_tiktoken_vocabulary_and_weights_in_bin_work(hub: Hub, client: Client) -> None:
    """A vocabulary as tiktoken writes it, converted by transformers without code of the repository's own."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    ranks = [bytes([i]) for i in range(256)] + [b"ab", b"abc"]
    vocabulary = b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(ranks))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"}
    settings["added_tokens_decoder"] = {"258": {"content": "<|end|>", "special": True}}  # type: ignore[assignment]
    config = transformers.LlamaConfig(
        vocab_size=259, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, head_dim=8
    )
    folder = client.home.parent / "made"
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "tokenizer.model").write_bytes(vocabulary)
    hub.repositories[NAME].commit(files_of(folder), "main")
    directory, _, digest = client.one()
    assert digest == content_hash(folder)
    tokenizer = load_tokenizer(directory)
    assert tokenizer("abcab")["input_ids"] == [257, 256]
    assert tokenizer.decode([257, 256]) == "abcab"
    from bon_eval.engines.load import load_causal_lm

    loaded = load_causal_lm(directory, "float32")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)


def test_who_may_not_read_is_told_what_to_do(hub: Hub, client: Client) -> None:
    repository = hub.repositories[NAME]
    commit = repository.commit(files_of(MIXED), "main")
    hub.repositories["lab/gated"] = Repository(repository.commits, repository.refs, gated=True)
    hub.repositories["lab/adapter"] = Repository()
    hub.repositories["lab/adapter"].commit({"adapter_config.json": b"{}", "adapter_model.safetensors": b""}, "main")
    hub.repositories["lab/gguf"] = Repository()
    hub.repositories["lab/gguf"].commit({"config.json": b"{}", "m.gguf": b""}, "main")
    hub.repositories["lab/half"] = Repository()
    hub.repositories["lab/half"].commit({"config.json": b"{}", **LAYOUTS["bin-shards"]} | {"x": b""}, "main")
    hub.repositories["lab/half"].commits[hub.repositories["lab/half"].refs["main"]].pop(list(BINS)[1])
    asked = [("lab/gated", None), ("lab/none", None), (NAME, "v9"), (NAME, commit[:7]), ("no hub name", None)]
    asked += [("lab/adapter", None), ("lab/gguf", None), ("lab/half", None)]
    without = client.each(*asked)
    gate = f"ask for access at {hub.url}/lab/gated, then log in with `hf auth login` or set HF_TOKEN"
    expected = [
        gate,
        f"there is no {hub.url}/lab/none that you may read; check the name, or, for a private model, log in",
        "no revision 'v9' on the hub; give a branch, a tag or a whole commit",
        f"no revision '{commit[:7]}' on the hub",
        "nor a hub name",
        "is an adapter: download it, and give its folder as --adapter",
        "holds no weights as .safetensors or .bin, only .gguf",
        "is not complete: pytorch_model-00002-of-00002.bin is missing",
    ]
    for error, part in zip(without, expected, strict=True):
        assert isinstance(error, str)
        assert part in error
        assert "\n" not in error
    stranger = client.each(*asked[:2], HF_TOKEN="hf_of_a_stranger")
    assert gate in stranger[0]
    assert "lab/none that you may read" in stranger[1]
    assert client.one("lab/gated", HF_TOKEN=TOKEN)[2] == content_hash(MIXED)
    assert not list(client.home.rglob("*.incomplete"))


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_download_that_breaks_off_leaves_nothing_that_is_taken_for_whole(hub: Hub, client: Client, how: str) -> None:
    commit = hub.repositories[NAME].commit(files_of(MIXED), "main")
    hub.cuts = {"model.safetensors": how}
    broken = client.one()
    assert isinstance(broken, str)
    assert f"the download of model '{NAME}' broke off" in broken
    assert "run the same command again" in broken
    for revision in (None, commit):
        offline = client.one(revision=revision, HF_HUB_OFFLINE="1")
        assert isinstance(offline, str)
        assert "only in part" in offline
        assert "model.safetensors is missing" in offline
    hub.cuts = {}
    before = dict(hub.fetched)
    assert client.one()[2] == content_hash(MIXED)
    assert hub.fetched["tokenizer.json"] == before["tokenizer.json"]
    assert client.one(HF_HUB_OFFLINE="1")[1] == commit


def test_offline_takes_what_the_cache_has_and_says_what_it_has_not(hub: Hub, client: Client) -> None:
    repository = hub.repositories[NAME]
    commit = repository.commit(files_of(MIXED), "main", "v1")
    [nothing] = client.each((NAME, None), HF_HUB_OFFLINE="1")
    assert isinstance(nothing, str)
    assert f"has no model '{NAME}'" in nothing
    assert "HF_HUB_OFFLINE is set" in nothing
    client.one(weights=False)
    [part] = client.each((NAME, None), HF_HUB_OFFLINE="1")
    assert "only in part" in part
    assert "model.safetensors is missing" in part
    client.one()
    repository.refs["main"] = repository.commit(files_of(WORKED))
    asked = hub.asked
    found = client.each((NAME, None), (NAME, commit), (NAME, "v1"), HF_HUB_OFFLINE="1")
    assert [answer[1] for answer in found[:2]] == [commit, commit]
    assert "has no model 'lab/arith' at 'v1'" in found[2]  # the cache never heard of the tag
    assert hub.asked == asked


def test_a_hub_that_does_not_answer_is_not_replaced_by_the_cache_silently(hub: Hub, client: Client) -> None:
    commit = hub.repositories[NAME].commit(files_of(MIXED), "main")
    client.one()
    away = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    branch, exact, other = client.each((NAME, None), (NAME, commit), (NAME, "0" * 40), **away)
    assert "the hub (http://127.0.0.1:9) does not answer" in branch
    assert "HF_HUB_OFFLINE=1" in branch
    assert exact[1] == commit
    assert "does not answer" in other
    hub.down = True
    assert "HTTP 503" in client.one()
