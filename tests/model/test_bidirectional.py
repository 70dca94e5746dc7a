"""The bidirectional decoder of U2++: trained, exported, and used for rescoring."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy import Toy

from wenet_lite.bin import average, command, export, recognize, train
from wenet_lite.decoding.attention_rescoring import AttentionRescoring
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.errors import ConfigError
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.decoder import TransformerDecoderConfig, reversed_tokens
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.model_config import ModelConfig

ENCODER = EncoderConfig(
    output_size=16, attention_heads=2, linear_units=32, num_blocks=1, subsampling_channels=4, cnn_module_kernel=5
)


def build(reverse_weight: float) -> AsrModel:
    torch.manual_seed(0)
    decoder = TransformerDecoderConfig(2, 32, 1, 1 if reverse_weight else 0)
    return AsrModel(ModelConfig(ENCODER, decoder, reverse_weight=reverse_weight), 20, 11).eval()


@given(st.lists(st.lists(st.integers(3, 10), max_size=6), min_size=1, max_size=4))
def test_tokens_are_reversed_inside_their_length(rows: list[list[int]]) -> None:
    lens = torch.tensor([len(row) for row in rows])
    padded = torch.full((len(rows), 7), -1)
    for row, tokens in zip(padded, rows):
        row[: len(tokens)] = torch.tensor(tokens, dtype=torch.long)
    for row, tokens in zip(reversed_tokens(padded, lens).tolist(), rows):
        assert row == tokens[::-1] + [-1] * (7 - len(tokens))


@torch.no_grad()
def test_the_loss_is_a_mean_of_both_directions() -> None:
    model, features = build(0.25), torch.randn(2, 60, 20)
    targets, lens = torch.tensor([[3, 4, 5], [6, 7, -1]]), torch.tensor([3, 2])
    losses = model(features, torch.tensor([60, 50]), targets, lens)
    assert (
        model.loss_parts == ("ctc", "attention", "attention_reverse", "accuracy", "no_alignment") == tuple(losses.parts)
    )
    attention = 0.75 * losses.parts["attention"] + 0.25 * losses.parts["attention_reverse"]
    torch.testing.assert_close(losses.total, 0.3 * losses.parts["ctc"] + 0.7 * attention)
    mirrored = model(features, torch.tensor([60, 50]), reversed_tokens(targets, lens), lens)
    assert not torch.allclose(mirrored.parts["attention"], losses.parts["attention_reverse"])  # weights of its own


@torch.no_grad()
def test_rescoring_hears_the_weight_of_each_direction() -> None:
    model, encoder_out, lens = build(0.5), torch.randn(1, 9, 16), torch.tensor([9])
    nbest = [[Hypothesis((3, 4, 5), -1.0), Hypothesis((3, 4), -2.0)]]

    def scores(weight: float | None) -> dict[tuple[int, ...], float]:
        return {hyp.tokens: hyp.score for hyp in AttentionRescoring(model, 0.0, weight)(encoder_out, lens, nbest)[0]}

    for tokens, score in scores(0.25).items():
        assert score == pytest.approx(0.75 * scores(0.0)[tokens] + 0.25 * scores(1.0)[tokens], abs=1e-5)
    assert scores(None) == scores(0.5)


def test_a_model_of_one_direction_refuses_a_reverse_weight() -> None:
    with pytest.raises(ConfigError, match="right-to-left"):
        AttentionRescoring(build(0.0), 0.5, 0.3)


@pytest.mark.parametrize("weight, blocks", [(0.3, 0), (0.0, 1), (1.5, 1)])
def test_settings_that_contradict_each_other_are_refused(weight: float, blocks: int) -> None:
    with pytest.raises(ValueError, match="reverse_weight"):
        ModelConfig(ENCODER, TransformerDecoderConfig(2, 32, 1, blocks), reverse_weight=weight)


def test_it_trains_decodes_and_exports(toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("model.reverse_weight=0.3", "model.decoder.r_num_blocks=1", "training.max_epochs=1")
    assert train.main(toy.train_arguments(tmp_path, *settings)) == 0
    assert "attention_reverse" in (tmp_path / "metrics.jsonl").read_text()
    assert average.main(["--exp-dir", str(tmp_path), "--num", "1", "--output", str(tmp_path / "avg.pt")]) == 0
    common = ["--exp-dir", str(tmp_path), "--checkpoint", str(tmp_path / "avg.pt")]
    dev = str(toy.folder / "dev/data.list")
    decode = [*common, "--data", dev, "--result-dir", str(tmp_path / "decode"), "--device", "cpu"]
    assert recognize.main([*decode, "--modes", "attention_rescoring"]) == 0
    assert command.run(recognize.main, [*decode, "--modes", "attention", "--reverse-weight", "2"]) == 1
    assert export.main([*common, "--output", str(tmp_path / "model"), "--check-data", dev]) == 0
    assert torch.jit.load(str(tmp_path / "model/model.zip")).is_bidirectional_decoder()
