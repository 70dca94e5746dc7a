"""What is exported runs where this package is not, and says what the model says."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy import Toy

from wenet_lite.bin import export
from wenet_lite.errors import CheckpointError, ConfigError, ExportError
from wenet_lite.runtime.export import agreement as agreement_module
from wenet_lite.runtime.model_dir import ModelDir
from wenet_lite.training.checkpoint import list_checkpoints


@pytest.fixture(scope="module")
def model_dir(toy: Toy, toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("exports") / "model"
    formats = ["--format", "torchscript", "program", "--quantize"]
    assert export.main([*arguments(toy, toy_model, target), *formats]) == 0
    return target


def arguments(toy: Toy, exp_dir: Path, target: Path) -> list[str]:
    checked = ["--checkpoint", str(exp_dir / "avg_2.pt"), "--check-data", str(toy.folder / "dev/data.list")]
    return ["--exp-dir", str(exp_dir), *checked, "--output", str(target)]


def run_elsewhere(code: str) -> str:
    """In a process that does not import this package."""
    code += "\nimport sys\nassert not any(name.startswith('wenet_lite') for name in sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["model.zip", "model.int8.zip"])
def test_torchscript_files_stream_and_score_by_themselves(model_dir: Path, name: str) -> None:
    out = run_elsewhere(f"""
import torch
model = torch.jit.load({str(model_dir / name)!r})
empty = torch.zeros(0, 0, 0, 0)
out, attention, convolution = model.forward_encoder_chunk(torch.randn(1, 67, 20), 0, -1, empty, empty)
scores, _ = model.forward_attention_decoder(torch.tensor([[2, 3, 4]]), torch.tensor([3]), out)
print(*out.shape, round(float(model.ctc_activation(out).exp().sum(-1).mean()), 4), *scores.shape[:2])
""")
    assert out.split() == ["1", "16", "16", "1.0", "1", "3"]


def test_a_program_streams_by_itself(model_dir: Path) -> None:
    out = run_elsewhere(f"""
import json, torch
facts = {{"facts.json": ""}}
step = torch.export.load({str(model_dir / "program/chunk_step.pt2")!r}, extra_files=facts).module()
facts = json.loads(facts["facts.json"])
features = torch.randn(3, facts["chunk_frames"], 20)
lens = torch.full((3,), facts["chunk_frames"])
none = torch.zeros(3, dtype=torch.long)
cache = torch.zeros(2, 3, 2, facts["cache_frames"], 16), torch.zeros(2, 3, 16, 4), none, none
log_probs, encoder_out, encoder_lens, *cache = step(features, lens, *cache)
log_probs, *_ = step(features, lens, *cache)
print(facts["inputs"][0], facts["outputs"][0], *encoder_lens.tolist(), round(float(log_probs.exp().sum(-1).mean()), 4))
""")
    assert out.split() == ["features", "log_probs", "16", "16", "16", "1.0"]


def test_every_file_has_its_hash(model_dir: Path) -> None:
    files = {path.relative_to(model_dir).as_posix() for path in model_dir.rglob("*") if path.is_file()}
    assert set(ModelDir(model_dir).description.sha256) == files - {"model.yaml"}
    assert {"model.pt", "model.zip", "model.int8.zip", "program/chunk_step.pt2", "units.txt"} <= files


@pytest.mark.parametrize(("limit", "value"), [("TOLERANCE", -1.0), ("MAX_DIVERGENCE", -1.0)])
def test_what_differs_is_not_left_behind(
    toy: Toy, toy_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "model.pt").touch()
    monkeypatch.setattr(agreement_module, limit, value)
    with pytest.raises(ExportError, match="differs from the model"):
        export.main([*arguments(toy, toy_model, target), "--quantize"])
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "model.pt"]


def test_output_that_is_not_finite_is_a_difference() -> None:
    agreement = agreement_module.Agreement(Path("model.zip"), is_int8=False)
    agreement.compare(torch.full((1, 4), torch.nan), torch.zeros(1, 4), "a")
    with pytest.raises(ExportError, match="differs"):
        agreement.conclude(1.0)


def test_an_export_is_checked_on_something(toy: Toy, toy_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are none"):
        export.main([*arguments(toy, toy_model, tmp_path / "model"), "--num-check", "0"])


def test_a_folder_that_holds_other_things_is_not_replaced(toy: Toy, toy_model: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(ConfigError, match="holds other things than a model"):
        export.main(arguments(toy, toy_model, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_training_checkpoint_is_to_be_averaged_first(toy: Toy, toy_model: Path, tmp_path: Path) -> None:
    newest = list_checkpoints(toy_model / "checkpoints")[-1]
    given = arguments(toy, toy_model, tmp_path / "model")
    given[given.index("--checkpoint") + 1] = str(newest)
    with pytest.raises(CheckpointError, match=r"is a training checkpoint \(wenet-lite average"):
        export.main(given)
