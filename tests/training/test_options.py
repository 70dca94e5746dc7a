"""What a user can switch on: precision, recomputation, compilation, averages, limits, profiles; and what he is told."""

import itertools
import json
import logging
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboardX import SummaryWriter
from toy import Toy, run_module
from toy_run import newest, records

from wenet_lite.bin import average, train
from wenet_lite.data.dataset import silent_batch
from wenet_lite.distributed import World
from wenet_lite.errors import ConfigError, WenetLiteError
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.mixture import MixtureConfig
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.training.acceleration import Acceleration
from wenet_lite.training.bad_updates import BadUpdates
from wenet_lite.training.checkpoint import list_checkpoints, load_checkpoint
from wenet_lite.training.monitor import picture
from wenet_lite.training.training_config import TrainingConfig
from wenet_lite.training.watch import Watch

ONE = "training.max_epochs=1"


def trained(toy: Toy, exp_dir: Path, *settings: str) -> list[float]:
    assert train.main(toy.train_arguments(exp_dir, *settings)) == 0
    return [record["loss"] for record in records(exp_dir)]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_stays_near_and_its_weights_are_float32(toy: Toy, tmp_path: Path, precision: str) -> None:
    exact = trained(toy, tmp_path / "exact", ONE)
    half = trained(toy, tmp_path / "half", ONE, f"training.precision={precision}")
    assert half[0] == pytest.approx(exact[0], rel=0.01) and half != exact
    assert half == pytest.approx(exact, rel=0.1)  # in float16 the first updates may be skipped
    skipped = sum(record["bad_updates"] for record in records(tmp_path / "half"))
    checkpoint = newest(tmp_path / "half")
    assert all(t.dtype == torch.float32 for t in checkpoint.model.values() if t.is_floating_point())
    if precision == "float16":
        assert float(checkpoint.stepper["loss_scale"]) == 2.0**16 / 2**skipped
    else:
        assert checkpoint.stepper == {}


def test_recomputation_and_compilation_change_nothing_but_time(toy: Toy, tmp_path: Path) -> None:
    settings = (ONE, "model.encoder.cnn_module_norm=layer_norm")
    plain = trained(toy, tmp_path / "plain", *settings)
    again = trained(toy, tmp_path / "again", *settings, "training.gradient_checkpointing=true")
    assert again == pytest.approx(plain, rel=1e-6)
    with pytest.raises(ConfigError, match="does not go with batch norm"):
        train.main(toy.train_arguments(tmp_path / "bn", "model.encoder.cnn_module_norm=batch_norm", ONE,
                                       "training.gradient_checkpointing=true"))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_compiled_layers_train_the_same(toy: Toy, tmp_path: Path, processes: int) -> None:
    """Whole, and shared out over two ranks."""
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler on a CPU, and there is no g++")
    # compiled code draws other dropout masks
    still = [f"model.{part}_rate=0.0" for part in ("encoder.dropout", "encoder.positional_dropout",
             "encoder.attention_dropout", "decoder.dropout", "decoder.positional_dropout")]  # fmt: skip
    small = (*still, "training.max_updates=2", "model.encoder.num_blocks=1", "model.encoder.use_dynamic_chunk=false",
             "training.distribution=fsdp")  # fmt: skip
    for name, setting in (("plain", "training.compile=false"), ("compiled", "training.compile=true")):
        arguments = toy.train_arguments(tmp_path / name, *small, setting)
        result = run_module("wenet_lite.bin.train", *arguments, processes=processes)
        assert result.returncode == 0, result.stderr
    expected = [record["loss"] for record in records(tmp_path / "plain")]
    assert [record["loss"] for record in records(tmp_path / "compiled")] == pytest.approx(expected, rel=1e-4)


def test_the_moving_average_is_measured_kept_and_shipped(toy: Toy, tmp_path: Path) -> None:
    trained(toy, tmp_path / "with", "training.max_epochs=2", "training.ema_decay=0.9")
    trained(toy, tmp_path / "without", "training.max_epochs=2")
    with_average, without = newest(tmp_path / "with"), newest(tmp_path / "without")
    for name, tensor in without.model.items():
        assert torch.equal(with_average.model[name], tensor), name  # it does not touch the training
    assert with_average.dev != without.dev
    output = tmp_path / "ema.pt"
    arguments = ["--exp-dir", str(tmp_path / "with"), "--mode", "ema", "--output", str(output)]
    assert average.main(arguments) == 0
    state = torch.load(output, weights_only=True)
    name = "ctc.ctc_lo.weight"
    assert torch.equal(state[name], with_average.average["model"][name])
    assert not torch.equal(state[name], with_average.model[name])
    with pytest.raises(WenetLiteError, match="has no moving average"):
        average.main(["--exp-dir", str(tmp_path / "without"), "--mode", "ema", "--output", str(output)])


@pytest.mark.parametrize("options", [("--num", "10"), ("--by", "loss"), ("--updates", "1", "9")])
def test_a_moving_average_is_of_no_chosen_checkpoints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit):
        average.main(["--exp-dir", str(tmp_path), "--mode", "ema", "--output", str(tmp_path / "ema.pt"), *options])
    line = "average: --mode ema takes the newest checkpoint's moving average: leave"
    assert capsys.readouterr().err == f"{line} {options[0]} out (see --help)\n"


def test_checkpoints_are_averaged_by_range_and_by_wer(toy: Toy, tmp_path: Path) -> None:
    trained(toy, tmp_path, "training.max_epochs=4", "training.best_by=wer")
    all_of_them = list_checkpoints(tmp_path / "checkpoints")
    measured = [path for path in all_of_them if load_checkpoint(path).dev is not None]
    assert len(measured) == 4
    arguments = ["--exp-dir", str(tmp_path), "--num", "2", "--output", str(tmp_path / "a.pt"), "--by", "wer"]
    last = load_checkpoint(measured[1]).update
    assert average.main([*arguments, "--updates", "1", str(last)]) == 0
    states = [load_checkpoint(path).model["ctc.ctc_lo.bias"].double() for path in measured[:2]]
    mean = torch.load(tmp_path / "a.pt", weights_only=True)["ctc.ctc_lo.bias"]
    assert torch.equal(mean, ((states[0] + states[1]) / 2).float())
    with pytest.raises(WenetLiteError, match="has 1 checkpoints at the end of an epoch in that range, 2 are to be"):
        average.main([*arguments, "--updates", "1", str(last - 1)])


def test_a_run_ends_by_updates_hours_and_lack_of_progress(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(trained(toy, tmp_path / "updates", "training.max_updates=7")) == 7
    assert newest(tmp_path / "updates").dev is not None and len(records(tmp_path / "updates", "dev")) == 2
    assert len(trained(toy, tmp_path / "updates", "training.max_updates=9")) == 9  # goes on within the epoch
    assert len(trained(toy, tmp_path / "hours", "training.max_hours=1e-5", "training.max_epochs=99")) < 20
    caplog.set_level(logging.INFO)
    stuck = ("training.max_epochs=50", "training.optimizer.lr=1e-12", "training.early_stop=2", "training.best_by=wer")
    trained(toy, tmp_path / "stuck", *stuck)
    assert len(records(tmp_path / "stuck", "dev")) == 3
    assert any("no better dev wer for 2 epochs: the run ends early" in line for line in caplog.messages)


def test_frozen_modules_stay_and_factors_slow_others(toy: Toy, tmp_path: Path) -> None:
    before = newest_of_no_update(toy, tmp_path / "start")
    settings = ("training.optimizer.freeze=['encoder.embed.*']", "training.optimizer.lr_factors={'decoder.*': 1e-4}")
    trained(toy, tmp_path / "exp", ONE, *settings)
    after = newest(tmp_path / "exp").model
    moved = {name: float((after[name] - before[name]).abs().max()) for name in after if "global_cmvn" not in name}
    assert all(change == 0 for name, change in moved.items() if name.startswith("encoder.embed."))
    assert max(change for name, change in moved.items() if name.startswith("decoder.")) < 1e-5
    assert max(change for name, change in moved.items() if name.startswith("encoder.encoders.")) > 1e-3


def newest_of_no_update(toy: Toy, exp_dir: Path) -> dict[str, torch.Tensor]:
    trained(toy, exp_dir, "training.max_updates=1", "training.optimizer.lr=1e-30")
    return newest(exp_dir).model


def test_updates_are_profiled_to_a_trace(toy: Toy, tmp_path: Path) -> None:
    trained(toy, tmp_path, "training.max_epochs=2", "training.profile_updates=2")
    trace = json.loads((tmp_path / "profile" / "trace.json").read_text())
    assert sum("convolution" in event.get("name", "") for event in trace["traceEvents"]) > 10
    assert "aten::" in (tmp_path / "profile" / "operators.txt").read_text()


def test_deterministic_mode_trains(toy: Toy, tmp_path: Path) -> None:
    try:
        assert trained(toy, tmp_path, ONE, "training.deterministic=true")
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_bad_updates_are_skipped_counted_named_and_end_the_run(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wenet_lite.training.forward_pass import ForwardPass

    original = ForwardPass.__call__

    def poisoned(self, batch, chunk):
        losses = original(self, batch, chunk)
        update = next(updates)
        if (update == 2 and "train-05" in batch.keys) or update >= poison_from:
            losses.total.data[batch.keys.index("train-05") if "train-05" in batch.keys else 0] = torch.nan
            return losses.__class__(losses.total * losses.total, losses.parts, losses.expert_counts)
        return losses

    monkeypatch.setattr(ForwardPass, "__call__", poisoned)
    updates, poison_from = itertools.count(), 10_000
    everything_at_once = ("training.max_epochs=1", "batch.micro_batches_per_update=1", "batch.max_utterances=3")
    trained(toy, tmp_path / "few", *everything_at_once, "training.log_interval=4")
    counted = sum(record["bad_updates"] for record in records(tmp_path / "few"))
    named = [line for line in caplog.messages if "was skipped" in line]
    assert counted == len(named) <= 1
    updates, poison_from = itertools.count(), 3
    with pytest.raises(WenetLiteError, match=r"\d updates in a row had a gradient that is not finite.*lower training"):
        train.main(toy.train_arguments(tmp_path / "many", *everything_at_once, "training.max_bad_updates=3"))
    assert any("update 4 was skipped: the loss is not finite of train-" in line for line in caplog.messages)
    weights = newest(tmp_path / "many").model.values()
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights)


def test_a_gradient_that_is_not_finite_names_all_utterances_of_its_update(caplog: pytest.LogCaptureFixture) -> None:
    bad = BadUpdates(limit=2, device=torch.device("cpu"))
    yes, no = torch.tensor(True), torch.tensor(False)
    bad.heard(5, ["a", "b"], torch.tensor([1.0, 2.0]))
    bad.judged(5, yes, no)
    bad.judged(6, no, no)
    assert bad.report(World()) == 1 and bad.report(World()) == 0
    assert caplog.messages == ["update 5 was skipped: the gradient is not finite; it had a, b"]
    bad.judged(7, yes, no)
    assert bad.report(World()) == 1
    bad.judged(8, yes, no)  # two in a row, over a report
    with pytest.raises(WenetLiteError, match="2 updates in a row"):
        bad.report(World())


def test_the_search_for_a_loss_scale_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bad = BadUpdates(limit=2, device=torch.device("cpu"))
    yes = torch.tensor(True)
    for update in range(5):
        bad.heard(update, ["a"], torch.tensor([1.0]))
        bad.judged(update, yes, yes)
    assert bad.report(World()) == 5
    assert caplog.messages[0] == "update 0 was skipped: its gradient is too large for the loss scale, which is halved"
    assert all(record.levelno == logging.INFO for record in caplog.records)
    bad.judged(5, yes, ~yes)  # a scale of 1 is not to blame
    bad.judged(6, yes, ~yes)
    with pytest.raises(WenetLiteError, match="2 updates in a row"):
        bad.report(World())


def test_a_lack_of_memory_names_the_batch_and_the_cure(toy: Toy) -> None:
    model = torch.nn.Module()
    model.config = ModelConfig()
    acceleration = Acceleration(TrainingConfig(), model, torch.device("cpu"))
    for error in (torch.OutOfMemoryError("CUDA"), RuntimeError("DefaultCPUAllocator: not enough memory: you tried")):
        with (
            pytest.raises(WenetLiteError, match=r"1 utterances of up to 1\.0 s and 1 tokens \(lower batch\.max_frames"),
            acceleration.explain_memory(silent_batch()),
        ):
            raise error
    with pytest.raises(WenetLiteError, match="where the optimiser moves the weights"), acceleration.explain_memory():
        raise torch.OutOfMemoryError("CUDA")
    with pytest.raises(RuntimeError, match="something else"), acceleration.explain_memory(silent_batch()):
        raise RuntimeError("something else")


def test_a_run_is_warned_once_of_what_has_a_cure() -> None:
    moe = MixtureConfig(num_experts=4)
    watch = Watch(TrainingConfig(), ModelConfig(EncoderConfig(moe=moe)))
    good = {"data_wait": 0.1, "loss": 100.0, "accuracy": 0.1, "expert_layer1_0": 0.2, "expert_layer1_1": 0.8}
    assert watch.warnings(100, good) == []
    assert watch.warnings(120, {**good, "data_wait": 0.9}) == []  # workers have just begun to read ahead
    (waiting,) = watch.warnings(200, {**good, "data_wait": 0.5})
    assert waiting.startswith("50 % of the time is spent waiting for data: raise training.num_workers")
    (dead,) = watch.warnings(300, {**good, "data_wait": 0.5, "expert_layer1_0": 0.01})
    assert "expert_layer1_0" in dead and "importance_weight" in dead
    found = [watch.warnings(update, good) for update in range(400, 40_000, 100)]
    (still,) = [warning for warnings in found for warning in warnings]
    assert "the loss has not moved for 2000 updates (100, now 100)" in still
    falling = Watch(TrainingConfig(), ModelConfig(EncoderConfig(moe=moe)))
    for update in range(100, 60_000, 100):
        assert falling.warnings(update, {**good, "loss": 100 * 0.99 ** (update / 1000)}) == []


def test_posteriors_become_a_picture_of_the_likely_units() -> None:
    posteriors = torch.full((5, 10), 0.01)
    posteriors[:, 0], posteriors[2, 7] = 0.9, 0.8
    image = picture(posteriors.numpy())
    assert image.shape == (1, 12, 20) and image[0, 11, 8] == pytest.approx(0.8) and image[0, 0, 0] == pytest.approx(0.9)


@pytest.mark.parametrize(("frames", "value"), [(5, 0.01), (5, math.nan), (0, 0.0)])
def test_posteriors_that_have_no_likely_unit_become_a_picture_too(tmp_path: Path, frames: int, value: float) -> None:
    """As those of a model that has just begun, or has diverged."""
    image = picture(np.full((frames, 100), value, np.float32))
    assert image.shape == (1, 6, 4 * max(frames, 1)) and 0 <= image.min() <= image.max() <= 1
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_image("posteriors", image, 1)


def test_each_epoch_has_a_summary_with_its_wer(toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trained(toy, tmp_path, "training.max_epochs=2")
    summaries = [line for line in caplog.messages if line.startswith("epoch ")]
    assert (
        len(summaries) == 2 and "epoch 2 of 2: dev loss" in summaries[1] and "% (greedy CTC); best loss" in summaries[1]
    )
    dev = records(tmp_path, "dev")[-1]
    assert f"WER {dev['wer']:.2f} %" in summaries[1]
    for record in records(tmp_path):
        assert 0 <= record["data_wait"] <= 1 and record["memory_mb"] > 10 and record["bad_updates"] == 0
