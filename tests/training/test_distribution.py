"""The weights do not depend on how many ranks share an update, nor on how they hold the model."""

from pathlib import Path

import pytest
import torch
from toy import Toy, run_module
from toy_run import losses, newest

from wenet_lite.distributed import World
from wenet_lite.experiment import build_model, read_experiment
from wenet_lite.training.optimizer import OptimizerConfig
from wenet_lite.training.parallel import Replicated
from wenet_lite.training.step import Stepper

FIXED = (
    "model.decoder.dropout_rate=0.0", "model.decoder.positional_dropout_rate=0.0",
    "model.encoder.attention_dropout_rate=0.0",
    "model.encoder.dropout_rate=0.0", "model.encoder.positional_dropout_rate=0.0", "batch.speed_factors=[1.0]",
    "model.encoder.cnn_module_norm=layer_norm", "training.spec_augment=null", "model.encoder.use_dynamic_chunk=false",
    "batch.micro_batches_per_update=4", "batch.max_utterances=2", "training.max_epochs=7", "training.max_updates=20",
)  # fmt: skip


@pytest.fixture(scope="module")
def alone(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    exp_dir = tmp_path_factory.mktemp("alone")
    result = run_module("wenet_lite.bin.train", *toy.train_arguments(exp_dir, *FIXED))
    assert result.returncode == 0, result.stderr
    return exp_dir


@pytest.mark.parametrize(
    ("processes", "settings"),
    [
        (2, ()),
        (3, ()),
        (2, ("training.distribution=fsdp", "training.ema_decay=0.9")),
        (3, ("training.distribution=fsdp",)),
    ],
)
def test_ranks_take_the_updates_of_one(
    toy: Toy, alone: Path, tmp_path: Path, processes: int, settings: tuple[str, ...]
) -> None:
    """Also three ranks, which cannot share four micro-batches evenly."""
    arguments = toy.train_arguments(tmp_path, *FIXED, *settings)
    result = run_module("wenet_lite.bin.train", *arguments, processes=processes)
    assert result.returncode == 0, result.stderr
    assert len(losses(alone)) == 20
    assert losses(tmp_path) == pytest.approx(losses(alone), rel=1e-5)
    if "training.ema_decay=0.9" not in settings:  # which is measured instead
        assert losses(tmp_path, "dev") == pytest.approx(losses(alone, "dev"), rel=1e-5)
    expected, found = newest(alone), newest(tmp_path)
    assert found.optimizer.keys() == expected.optimizer.keys()
    for name, state in expected.optimizer.items():
        assert found.optimizer[name]["step"] == 20
        torch.testing.assert_close(found.optimizer[name]["exp_avg"], state["exp_avg"], rtol=1e-3, atol=1e-4)


def test_a_run_goes_on_with_any_ranks_and_either_distribution(toy: Toy, alone: Path, tmp_path: Path) -> None:
    """Checkpoints know nothing of ranks."""
    sharded = "training.distribution=fsdp"
    for updates, processes, settings in ((6, 1, ()), (11, 2, (sharded,)), (16, 3, ()), (20, 2, (sharded,))):
        arguments = toy.train_arguments(tmp_path, *FIXED, *settings, f"training.max_updates={updates}")
        result = run_module("wenet_lite.bin.train", *arguments, processes=processes)
        assert result.returncode == 0, result.stderr
        assert len(losses(tmp_path)) == updates
    assert losses(tmp_path) == pytest.approx(losses(alone), rel=1e-5)


def test_experts_that_hear_nothing_on_a_rank_do_not_stop_sharded_ones(toy: Toy, tmp_path: Path) -> None:
    moe = "model.encoder.moe={num_experts: 3, embedding_num_blocks: 1, embedding_linear_units: 16}"
    for name, processes, settings in (("one", 1, ()), ("three", 3, ("training.distribution=fsdp",))):
        arguments = toy.train_arguments(tmp_path / name, *FIXED, moe, *settings, "training.max_updates=4")
        result = run_module("wenet_lite.bin.train", *arguments, processes=processes)
        assert result.returncode == 0, result.stderr
    assert losses(tmp_path / "three") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


@pytest.mark.parametrize("sizes", [(6,), (2, 4), (1, 1, 1, 1, 1, 1)])
def test_gradients_do_not_depend_on_how_an_update_is_cut(toy: Toy, sizes: tuple[int, ...]) -> None:
    config = read_experiment(toy.folder / "toy.yaml", FIXED[:9])
    torch.manual_seed(1)
    features, lens = torch.randn(6, 90, 20), torch.tensor([90, 80, 71, 60, 55, 49])
    tokens, token_lens = torch.randint(3, 8, (6, 4)), torch.tensor([4, 4, 3, 3, 2, 1])
    tokens = tokens.masked_fill(torch.arange(4) >= token_lens.unsqueeze(1), -1)
    gradients = []
    for parts in ((6,), sizes):
        model = build_model(config, 10).train()
        cuts = zip(*(t.split(parts) for t in (features, lens, tokens, token_lens)))
        for part in cuts:
            (model(*part).total.sum() / 6).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    whole = torch.cat([gradient.flatten() for gradient in gradients[0].values()]).norm()
    for name, expected in gradients[0].items():
        assert (gradients[1][name] - expected).norm() <= 1e-5 * max(expected.norm(), 1e-3 * whole), name


def test_float16_losses_are_scaled_and_the_scale_falls_when_they_overflow() -> None:
    weights = torch.nn.Linear(2, 1, bias=False)
    before = weights.weight.detach().clone()
    cpu = torch.device("cpu")
    stepper = Stepper(weights, OptimizerConfig(lr=0.1), Replicated(World()), 5.0, scaled=True, device=cpu)
    assert float(stepper.loss_scale) == 2.0**16
    (weights(torch.full((1, 2), torch.inf)).sum() * stepper.loss_scale).backward()
    _, skipped = stepper.step(0.1)
    assert skipped and torch.equal(weights.weight, before) and float(stepper.loss_scale) == 2.0**15
    (weights(torch.full((1, 2), 3e-5)).sum() * stepper.loss_scale).backward()
    norm, skipped = stepper.step(0.1)
    assert not skipped and float(norm) == pytest.approx(3e-5 * 2**0.5, rel=1e-3)
    assert not torch.equal(weights.weight, before)
    assert all(float(state["step"]) == 1 for state in stepper.optimizer.state.values())
