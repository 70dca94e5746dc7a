"""Mixtures of experts: every frame goes through its experts, weighted by their probabilities, and none is dropped."""

import dataclasses

import pytest
import torch
from toy import Toy, run_module

from wenet_lite.bin import average, export, recognize, train
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.mixture import MixtureConfig, MixtureOfExperts, expert_counts, routing_losses
from wenet_lite.model.model_config import TRAINING_ONLY, ModelConfig

MOE = MixtureConfig(num_experts=4, embedding_num_blocks=1, embedding_linear_units=16, dropout_rate=0.0)
ENCODER = EncoderConfig(
    output_size=16, attention_heads=2, linear_units=32, num_blocks=2, subsampling_channels=4, cnn_module_kernel=5,
    moe=MOE,
)  # fmt: skip


def mixture(top_k: int, num_experts: int = 4) -> MixtureOfExperts:
    torch.manual_seed(0)
    config = dataclasses.replace(MOE, top_k=top_k, num_experts=num_experts)
    return MixtureOfExperts(config, 16, 32, torch.nn.SiLU()).eval()


def build(encoder: EncoderConfig = ENCODER) -> AsrModel:
    torch.manual_seed(0)
    return AsrModel(ModelConfig(encoder, TransformerDecoderConfig(2, 32, 1)), 20, 11)


def losses_of(model: AsrModel, lens: tuple[int, int] = (60, 50)):
    features = torch.randn(2, 60, 20, generator=torch.Generator().manual_seed(1))
    return model(features, torch.tensor(lens), torch.tensor([[3, 4, 5], [6, 7, -1]]), torch.tensor([3, 2]))


@torch.no_grad()
@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_each_frame_is_the_weighted_sum_of_its_experts(top_k: int) -> None:
    layer, x, embedding = mixture(top_k), torch.randn(2, 30, 16), torch.randn(2, 30, 16)
    out, probabilities = layer(x, embedding)
    torch.testing.assert_close(probabilities, layer.gate(torch.cat([x, embedding], 2)).softmax(-1))
    by_expert = torch.stack([expert(x) for expert in layer.experts], dim=2)
    weights, chosen = probabilities.topk(top_k, dim=-1)
    picked = by_expert.gather(2, chosen.unsqueeze(3).expand(-1, -1, -1, 16))
    torch.testing.assert_close(out, (picked * weights.unsqueeze(3)).sum(2), rtol=0, atol=1e-5)


def test_gradients_are_those_of_the_definition() -> None:
    layer, x, embedding = mixture(2).double(), torch.randn(1, 9, 16).double(), torch.randn(1, 9, 16).double()
    layer.zero_grad()
    layer(x, embedding)[0].square().sum().backward()
    sorted_gradients = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    probabilities = layer.gate(torch.cat([x, embedding], 2)).float().softmax(-1).double()
    weights = torch.zeros_like(probabilities).scatter(2, probabilities.topk(2).indices, 1.0) * probabilities
    by_expert = torch.stack([expert(x) for expert in layer.experts], dim=2)
    (by_expert * weights.unsqueeze(3)).sum(2).square().sum().backward()
    for actual, parameter in zip(sorted_gradients, layer.parameters()):
        torch.testing.assert_close(actual, parameter.grad, rtol=1e-5, atol=1e-6)


def test_routing_losses_know_the_best_and_the_worst() -> None:
    mask = torch.tensor([[True, True, True, True, False]])
    decided = torch.eye(4)[torch.tensor([[0, 1, 2, 3, 0]])]
    assert [round(float(v), 5) for v in routing_losses(decided, mask)] == [1.0, 1.0]  # the padded frame counts for none
    undecided = torch.full((1, 5, 4), 0.25)
    assert [round(float(v), 5) for v in routing_losses(undecided, mask)] == [2.0, 1.0]
    one_for_all = torch.eye(4)[torch.zeros(1, 5, dtype=torch.long)]
    assert [round(float(v), 5) for v in routing_losses(one_for_all, mask)] == [1.0, 4.0]
    assert expert_counts(decided, mask, 1).tolist() == [1, 1, 1, 1]
    assert expert_counts(one_for_all, mask, 1).tolist() == [4, 0, 0, 0]


def test_every_loss_is_named_and_has_its_weight() -> None:
    model = build().eval()
    losses = losses_of(model)
    parts = losses.parts
    assert tuple(sorted(parts)) == tuple(sorted(model.loss_parts))
    expected = 0.3 * parts["ctc"] + 0.7 * parts["attention"]
    expected += 0.15 * parts["sparsity"] + 0.15 * parts["importance"] + 0.01 * parts["ctc_embedding"]
    torch.testing.assert_close(losses.total, expected)
    assert losses.expert_counts.shape == (2, 4)
    frames = sum((n - 7) // 4 + 1 for n in (60, 50))
    assert losses.expert_counts.sum(1).tolist() == [frames, frames]


def test_the_embedding_network_learns_by_its_own_loss_alone() -> None:
    model = build()
    losses_of(model).parts["attention"].sum().backward()
    assert all(p.grad is None for p in model.encoder.embedding_network.parameters())
    assert model.encoder.encoders[0].feed_forward.gate.weight.grad.abs().sum() > 0
    losses_of(model).parts["ctc_embedding"].sum().backward()
    assert all(p.grad is not None for p in model.encoder.embedding_network[0].feed_forward.parameters())


def test_layers_without_experts_are_dense() -> None:
    some = build(dataclasses.replace(ENCODER, moe=dataclasses.replace(MOE, layers=(2,))))
    kinds = [type(layer.feed_forward).__name__ for layer in some.encoder.encoders]
    assert kinds == ["PositionwiseFeedForward", "MixtureOfExperts"]
    macarons = {type(layer.feed_forward_macaron).__name__ for layer in build().encoder.encoders}
    assert macarons == {"PositionwiseFeedForward"}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"top_k": 5}, "top_k must lie between 1 and num_experts 4"),
        ({"layers": (0,)}, "ascending numbers from 1"),
        ({"layers": (2, 1)}, "ascending"),
        ({"layers": (2, 2)}, "ascending"),
        ({"sparsity_weight": -1.0}, "cannot be negative"),
        ({"embedding_num_blocks": 0}, "needs an embedding network"),
    ],
)
def test_impossible_mixtures_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(MOE, **changes)


def test_impossible_encoders_are_refused() -> None:
    with pytest.raises(ValueError, match="needs type: conformer"):
        dataclasses.replace(ENCODER, type="transformer")
    with pytest.raises(ValueError, match=r"moe.layers go to 2"):
        dataclasses.replace(ENCODER, moe=dataclasses.replace(MOE, layers=(3,)))


@torch.no_grad()
def test_int8_takes_the_experts_as_plain_linear_layers() -> None:
    model = build().eval()
    quantized = torch.ao.quantization.quantize_dynamic(model.encoder, {torch.nn.Linear}, dtype=torch.qint8)
    experts = quantized.encoders[0].feed_forward.experts
    assert all(isinstance(expert.w_1, torch.ao.nn.quantized.dynamic.Linear) for expert in experts)
    features, lens = torch.randn(1, 19, 20), torch.tensor([19])  # so short that experts are without frames
    out, _ = torch.jit.script(quantized)(features, lens)
    expected, _ = model.encoder(features, lens)
    assert torch.nn.functional.cosine_similarity(out, expected, dim=2).min() > 0.98


@torch.no_grad()
@pytest.mark.parametrize("top_k", [1, 2])
def test_graphs_of_fixed_shapes_hold_all_experts(top_k: int) -> None:
    """torch.export, and tracing, which ONNX's older exporter does, cannot deal frames out; the result is the same."""
    layer, x, embedding = mixture(top_k), torch.randn(2, 12, 16), torch.randn(2, 12, 16)
    exported = torch.export.export(layer, (x, embedding)).module()
    traced = torch.jit.trace(layer, (x, embedding))
    for graph in (exported, traced):
        for other in (x, torch.randn(2, 12, 16)):
            torch.testing.assert_close(graph(other, embedding), layer(other, embedding), rtol=0, atol=1e-5)


def test_routing_losses_of_the_model_ignore_padding() -> None:
    model = build().eval()
    features = torch.randn(1, 60, 20)
    target, length = torch.tensor([[3, 4]]), torch.tensor([2])
    alone = model(features, torch.tensor([60]), target, length)
    padded = model(torch.nn.functional.pad(features, (0, 0, 0, 90), value=5.0), torch.tensor([60]), target, length)
    for name in ("sparsity", "importance"):
        torch.testing.assert_close(padded.parts[name], alone.parts[name])
    assert torch.equal(padded.expert_counts, alone.expert_counts)


def test_without_a_loss_of_its_own_the_embedding_network_is_taught_by_the_routers() -> None:
    model = build(dataclasses.replace(ENCODER, moe=dataclasses.replace(MOE, embedding_ctc_weight=0.0)))
    losses_of(model).total.sum().backward()
    assert all(p.grad is not None for p in model.encoder.embedding_network[0].feed_forward.parameters())


SETTINGS = [
    "model.encoder.moe.num_experts=3", "model.encoder.moe.embedding_num_blocks=1",
    "model.encoder.moe.embedding_linear_units=16",
]  # fmt: skip


def test_it_trains_tells_how_experts_are_used_and_ships_without_the_embeddings_ctc(toy: Toy, tmp_path) -> None:
    import json

    exp = tmp_path / "exp"
    assert train.main(toy.train_arguments(exp, *SETTINGS)) == 0
    records = [json.loads(line) for line in (exp / "metrics.jsonl").read_text().splitlines()]
    shares = [records[0][f"expert_layer2_{i}"] for i in range(3)]
    assert sum(shares) == pytest.approx(1.0, abs=1e-4) and {"sparsity", "importance", "ctc_embedding"} < set(records[0])
    assert average.main(["--exp-dir", str(exp), "--num", "2", "--output", str(exp / "avg_2.pt")]) == 0
    common = ["--exp-dir", str(exp), "--checkpoint", str(exp / "avg_2.pt")]
    data = str(toy.folder / "dev/data.list")
    decode = ["--data", data, "--result-dir", str(tmp_path / "decode"), "--chunk-size", "4", "--device", "cpu"]
    assert recognize.main([*common, *decode]) == 0
    assert export.main([*common, "--output", str(exp / "model"), "--check-data", data]) == 0
    shipped = torch.load(exp / "model/model.pt", weights_only=True)
    assert not any(name.startswith(TRAINING_ONLY) for name in shipped)
    assert any("experts.2.w_1" in name for name in shipped)


def test_two_ranks_train_it_as_one_does(toy: Toy, tmp_path) -> None:
    for processes in (1, 2):
        arguments = toy.train_arguments(tmp_path / str(processes), *SETTINGS, "training.max_epochs=1")
        done = run_module("wenet_lite.bin.train", *arguments, processes=processes)
        assert done.returncode == 0, done.stderr
    one, two = (
        torch.load(max((tmp_path / str(n) / "checkpoints").glob("step_*.pt")), weights_only=True)["model"]
        for n in (1, 2)
    )
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=1e-3, atol=1e-4, msg=name)
