"""Heads on intermediate layers: they train, are logged by name, change nothing in the model, and stay at home."""

from pathlib import Path

import pytest
import torch
from toy import Toy

from wenet_lite.bin import average, export, recognize, train
from wenet_lite.config import load_yaml
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.model.multi_level import MultiLevelConfig

ENCODER = EncoderConfig(
    output_size=16, attention_heads=2, linear_units=32, num_blocks=3, subsampling_channels=4, cnn_module_kernel=5
)


def build(levels: MultiLevelConfig | None) -> AsrModel:
    torch.manual_seed(0)
    return AsrModel(ModelConfig(ENCODER, TransformerDecoderConfig(2, 32, 1), multi_level=levels), 20, 11).eval()


def losses(model: AsrModel):
    features = torch.randn(2, 60, 20, generator=torch.Generator().manual_seed(1))
    return model(features, torch.tensor([60, 50]), torch.tensor([[3, 4, 5], [6, 7, -1]]), torch.tensor([3, 2]))


@pytest.mark.parametrize("blocks", [0, 1])
def test_each_loss_is_named_and_has_its_share(blocks: int) -> None:
    model = build(MultiLevelConfig((1, 2), ctc_weight=0.4, attention_weight=0.2, decoder_num_blocks=blocks))
    parts = losses(model).parts
    assert set(parts) == set(model.loss_parts) and len(parts) == 4 + 2 * (1 + blocks)
    ctc = 0.6 * parts["ctc"] + 0.4 * (parts["ctc_layer1"] + parts["ctc_layer2"]) / 2
    attention = parts["attention"]
    if blocks:
        attention = 0.8 * attention + 0.2 * (parts["attention_layer1"] + parts["attention_layer2"]) / 2
    torch.testing.assert_close(losses(model).total, 0.3 * ctc + 0.7 * attention)


def test_the_model_itself_is_the_same_with_and_without() -> None:
    plain, levels = build(None), build(MultiLevelConfig((1, 2)))
    plain.load_state_dict({k: v for k, v in levels.state_dict().items() if not k.startswith("auxiliary.")}, strict=True)
    for name in ("ctc", "attention", "accuracy"):
        torch.testing.assert_close(losses(plain).parts[name], losses(levels).parts[name], rtol=0, atol=0)


def test_gradients_reach_the_heads_and_the_layers_below_them() -> None:
    model = build(MultiLevelConfig((1,)))
    losses(model).parts["attention_layer1"].sum().backward()
    assert all(p.grad is not None for p in model.auxiliary[0].decoder.parameters())
    assert model.encoder.encoders[0].norm_final.weight.grad is not None
    assert model.encoder.encoders[1].norm_final.weight.grad is None


@pytest.mark.parametrize("layers", [(), (0,), (1, 1), (2, 1), (3,)])
def test_impossible_layers_are_refused(layers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="layers"):
        ModelConfig(ENCODER, multi_level=MultiLevelConfig(layers))


def test_they_train_and_are_dropped_from_what_is_shipped(toy: Toy, tmp_path: Path) -> None:
    settings = ("model.multi_level={layers: [1]}", "training.max_epochs=1")
    assert train.main(toy.train_arguments(tmp_path, *settings)) == 0
    assert "ctc_layer1" in (tmp_path / "metrics.jsonl").read_text()
    assert average.main(["--exp-dir", str(tmp_path), "--num", "1", "--output", str(tmp_path / "avg.pt")]) == 0
    common = ["--exp-dir", str(tmp_path), "--checkpoint", str(tmp_path / "avg.pt")]
    dev = str(toy.folder / "dev/data.list")
    decode = [
        "--data",
        dev,
        "--result-dir",
        str(tmp_path / "decode"),
        "--device",
        "cpu",
        "--modes",
        "attention_rescoring",
    ]
    assert recognize.main([*common, *decode]) == 0
    assert export.main([*common, "--output", str(tmp_path / "model"), "--check-data", dev]) == 0
    assert load_yaml(tmp_path / "model/model.yaml")["model"]["multi_level"] is None
    shipped = torch.load(tmp_path / "model/model.pt", weights_only=True)
    assert not [name for name in shipped if name.startswith("auxiliary")]


@torch.no_grad()
def test_self_conditioning_adds_the_posteriors_to_what_the_next_layer_hears() -> None:
    model = build(MultiLevelConfig((1,), self_conditioning=True))
    heard = []
    model.encoder.encoders[1].register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    encoded = model.encoder.activations(torch.randn(1, 60, 20), torch.tensor([60]), -1, -1, [1])
    head = model.encoder.conditioning[0]
    posteriors = head.ctc.ctc_lo(head.norm(encoded.levels[0])).softmax(-1)
    torch.testing.assert_close(heard[0], encoded.levels[0] + head.back(posteriors))


def test_self_conditioning_is_trained_by_the_auxiliary_ctc_loss_and_is_shipped() -> None:
    model = build(MultiLevelConfig((1,), self_conditioning=True))
    losses(model).parts["ctc_layer1"].sum().backward()
    assert model.encoder.conditioning[0].ctc.ctc_lo.weight.grad.abs().sum() > 0
    shipped = AsrModel(model.config.shipped, 20, 11)
    kept = {k: v for k, v in model.state_dict().items() if not k.startswith("auxiliary.")}
    shipped.load_state_dict(kept, strict=True)
    assert shipped.config.multi_level.self_conditioning and len(kept) < len(model.state_dict())
    features, lens = torch.randn(1, 60, 20), torch.tensor([60])
    assert torch.equal(shipped.eval().encoder(features, lens)[0], model.encoder(features, lens)[0])
