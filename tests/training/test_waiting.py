"""The loop queues work for a GPU and goes on: shown on tensors that have shapes and a device, but no values."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from toy import Toy

from wenet_lite.data.dataset import Batch
from wenet_lite.data.weighted_list import WeightedList
from wenet_lite.distributed import World
from wenet_lite.experiment import DataPaths, build_recipe, read_experiment
from wenet_lite.training.trainer import Trainer

THREE_M = (
    "model.multi_level.layers=[1]",
    "model.encoder.cnn_module_norm=layer_norm",
    "model.decoder.r_num_blocks=1",
    "model.reverse_weight=0.3",
    "training.spec_sub={}",
    "training.spec_trim={}",
)


class NobodyWaits(TorchDispatchMode):
    """Refuses copies between host and device that the host would wait for.

    That a value is asked for is refused by the tensors themselves, which have none.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_):
            source = args[1] if func.overloadpacket is torch.ops.aten.copy_ else args[0]
            if out.device.type != source.device.type and source.dim():
                assert out.device.type == "cuda", "the host waits for a copy from the device"
                assert (kwargs or {}).get("non_blocking"), "the host waits for a copy to the device"
        return out


@contextmanager
def gpu_without_values(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What needs a driver is left out: page-locked memory, backward passes; and CTC, which waits inside of torch."""

    def ctc_loss(log_probs: Tensor, targets: Tensor, lens: Tensor, target_lens: Tensor, **_: object) -> Tensor:
        return log_probs.sum(dim=(0, 2)) + targets.sum(dim=1) + lens + target_lens

    monkeypatch.setattr(torch.nn.functional, "ctc_loss", ctc_loss)
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(Tensor, "is_pinned", lambda tensor: False)
    monkeypatch.setattr(Tensor, "backward", lambda loss: None)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def trainer_without_values(toy: Toy, exp_dir: Path, *settings: str) -> Trainer:
    still = ("model.encoder.use_dynamic_chunk=false", "training.log_interval=1000", "training.checkpoint_interval=0")
    config = read_experiment(toy.folder / "toy.yaml", [*still, *settings])
    lists = [WeightedList.parse(str(toy.folder / "train/data.list"))]
    paths = DataPaths(lists, *(str(toy.folder / name) for name in ("dev/data.list", "lang", "global_cmvn")))
    with unset_fake_temporarily():
        recipe = build_recipe(config, paths, World(), torch.device("cpu"))
    device = torch.device("cuda", 0)
    for module in (*recipe.model.modules(), *recipe.fbank.modules()):
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    there = torch.empty_like(tensor, device=device)
                    tensors[name] = nn.Parameter(there) if isinstance(tensor, nn.Parameter) else there
    recipe.model.to = lambda device: recipe.model
    return Trainer(recipe, None, exp_dir, World(), device)


def epoch(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything of an epoch but its records."""
    plan = trainer.recipe.plan.epoch(0)

    def load(share: Any, num_workers: int, *, pin_memory: bool) -> list[Batch]:
        assert pin_memory
        return [batch(len(micro_batch.indices)) for micro_batch in share]

    monkeypatch.setattr(trainer.recipe.dataset, "load", load)
    with NobodyWaits():
        trainer._train_epoch(plan)
    assert trainer.update == plan.num_updates > 2


def batch(size: int) -> Batch:
    """Two seconds of sound under six tokens."""
    lens = torch.full((size,), 6)
    tokens = torch.ones(size, 6, dtype=torch.long)
    return Batch(["a"] * size, torch.zeros(size, 32000), torch.full((size,), 32000), tokens, lens, [0] * size, {})


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param((), id="dense"),
        pytest.param(THREE_M, id="3m"),
        pytest.param(("model.cr_ctc_weight=0.2", "training.ema_decay=0.9"), id="cr-ctc"),
        pytest.param(("training.precision=float16",), id="float16"),
    ],
)
def test_nothing_of_an_epoch_waits(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    with gpu_without_values(monkeypatch):
        epoch(trainer_without_values(toy, tmp_path, *settings), monkeypatch)


@pytest.mark.parametrize(
    "setting", ["model.encoder.moe={}", "model.encoder.cnn_module_norm=batch_norm", "training.optimizer.type=novograd"]
)
def test_what_waits_as_documented(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    with gpu_without_values(monkeypatch):
        trainer = trainer_without_values(toy, tmp_path, setting)
        with pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
            epoch(trainer, monkeypatch)
