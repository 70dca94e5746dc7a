"""Every parameter moves at the rate that the configuration gives it, or not at all, and a resumed optimiser goes on."""

import copy
import io
import sys

import pytest
import torch
from torch import Tensor, nn

from wenet_lite.config import from_dict
from wenet_lite.distributed import World
from wenet_lite.errors import ConfigError
from wenet_lite.training.batch_norms import BatchNorms, set_training_mode
from wenet_lite.training.optimizer import OptimizerConfig, build_optimizer, freeze, set_learning_rate

CONFIGS = {
    "adam": OptimizerConfig("adam"),
    "adamw": OptimizerConfig("adamw", weight_decay=0.1, lr_factors={"encoder.*": 0.1}),
    "novograd": OptimizerConfig("novograd", betas=(0.95, 0.98), weight_decay=0.1, lr_factors={"encoder.*": 0.1}),
}


def tiny_model() -> nn.Module:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    return nn.ModuleDict({"encoder": encoder, "ctc": nn.Linear(3, 2)})


def backward(model: nn.Module, seed: int) -> None:
    features = torch.randn(5, 4, generator=torch.Generator().manual_seed(seed))
    model.zero_grad()
    model["ctc"](model["encoder"](features)).square().sum().backward()


def take_update(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    backward(model, seed)
    set_learning_rate(optimizer, 0.01 / (1 + seed))
    optimizer.step()


def weights(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


@pytest.mark.parametrize("name", CONFIGS)
def test_a_resumed_optimizer_goes_on_bit_for_bit(name: str) -> None:
    model = tiny_model()
    optimizer = build_optimizer(model, CONFIGS[name])
    for seed in range(3):
        take_update(model, optimizer, seed)
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    resumed = tiny_model()
    resumed_optimizer = build_optimizer(resumed, CONFIGS[name])
    model_state, optimizer_state = torch.load(file, weights_only=True)
    resumed.load_state_dict(model_state)
    resumed_optimizer.load_state_dict(optimizer_state)
    for seed in range(3, 6):
        take_update(model, optimizer, seed)
        take_update(resumed, resumed_optimizer, seed)
    assert all(torch.equal(tensor, resumed.state_dict()[key]) for key, tensor in model.state_dict().items())


def test_novograd_takes_the_papers_updates() -> None:
    model = tiny_model()
    optimizer = build_optimizer(model, CONFIGS["novograd"])
    moments: dict[str, Tensor] = {}
    squares: dict[str, Tensor] = {}
    for seed in range(3):
        backward(model, seed)
        expected = {}
        for name, parameter in model.named_parameters():  # arXiv 1905.11286, algorithm 1
            square = parameter.grad.square().sum()
            squares[name] = 0.98 * squares[name] + 0.02 * square if seed else square
            decay = 0.1 if name.endswith("weight") and parameter.dim() == 2 else 0.0
            direction = parameter.grad / (squares[name].sqrt() + 1e-8) + decay * parameter.detach()
            moments[name] = 0.95 * moments[name] + direction if seed else direction
            rate = 0.01 / (1 + seed) * (0.1 if name.startswith("encoder") else 1.0)
            expected[name] = parameter.detach() - rate * moments[name]
        take_update(model, optimizer, seed)
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.detach(), expected[name])


@pytest.mark.parametrize("name", ["adamw", "novograd"])
def test_weight_decay_spares_biases_and_norms(name: str) -> None:
    model = tiny_model()
    before = weights(model)
    optimizer = build_optimizer(model, CONFIGS[name])
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert moved == {"encoder.0.weight", "ctc.weight"}


def test_lr_factors_scale_every_rate_and_the_last_match_counts() -> None:
    model = tiny_model()
    config = OptimizerConfig(lr=1.0, lr_factors={"*": 0.5, "encoder.*": 0.1, "encoder.1.*": 2.0})
    optimizer = build_optimizer(model, config)

    def rates() -> dict[str, float]:
        of = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
        return {name: of[id(parameter)] for name, parameter in model.named_parameters()}

    expected = {"encoder.0": 0.1, "encoder.1": 2.0, "ctc": 0.5}
    assert rates() == {f"{module}.{kind}": rate for module, rate in expected.items() for kind in ("weight", "bias")}
    set_learning_rate(optimizer, 0.01)
    assert rates()["encoder.0.weight"] == pytest.approx(0.001) and rates()["encoder.1.bias"] == pytest.approx(0.02)


def test_what_is_frozen_stays_and_the_rest_moves() -> None:
    model = tiny_model()
    freeze(model, ("encoder.*",))
    before = weights(model)
    optimizer = build_optimizer(model, CONFIGS["adam"])
    norms = BatchNorms(model, micro_batches_per_update=3)
    for seed in range(2):
        set_training_mode(model)
        norms.begin()
        take_update(model, optimizer, seed)
        norms.collect()
        norms.end(World(), torch.tensor(False))
    moved = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert moved == {"ctc.weight", "ctc.bias"}
    assert model.training and not model["encoder"][1].training


def test_a_pattern_that_matches_nothing_names_the_nearest_modules() -> None:
    model = tiny_model()
    with pytest.raises(ConfigError, match=r"no parameter matches 'encodr\.\*' \(nearest: encoder\.\*, "):
        freeze(model, ("encodr.*",))
    with pytest.raises(ConfigError, match=r"no parameter matches 'ctc' \(nearest: ctc\.\*, "):
        build_optimizer(model, OptimizerConfig(lr_factors={"ctc": 0.1}))


def test_freezing_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves no parameter to train"):
        freeze(tiny_model(), ("ctc.*", "encoder.*"))


def test_a_missing_novograd_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(ConfigError, match=r"needs the package pytorch_optimizer \(pip install pytorch_optimizer"):
        build_optimizer(tiny_model(), CONFIGS["novograd"])


@pytest.mark.parametrize(
    ("tree", "message"),
    [({"weight_decay": 0.1}, "adam has no weight_decay"), ({"lr_factors": {"ctc.*": 0}}, "'ctc.*' must be above 0")],
)
def test_values_that_do_nothing_are_refused(tree: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(OptimizerConfig, tree)
    assert message in str(caught.value)
