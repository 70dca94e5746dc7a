"""What a model cannot take is refused by name, never computed on."""

import dataclasses

import pytest
import torch
from torch import Tensor
from toy import Toy

from wenet_lite.bin import recognize
from wenet_lite.errors import CheckpointError, InputError
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder import Encoder
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.model.weights import load_weights
from wenet_lite.runtime.export.torchscript_model import TorchScriptModel

CONFIG = EncoderConfig(
    output_size=16, attention_heads=2, linear_units=32, num_blocks=2, subsampling_channels=4, cnn_module_kernel=5
)


def encoder(**changes) -> Encoder:
    torch.manual_seed(0)
    return Encoder(dataclasses.replace(CONFIG, **changes), 20).eval()


def whole_model(**changes) -> AsrModel:
    torch.manual_seed(0)
    encoder = dataclasses.replace(CONFIG, **changes)
    return AsrModel(ModelConfig(encoder, TransformerDecoderConfig(2, 32, 1)), 20, 11)


@pytest.mark.parametrize(
    "features, lens, message",
    [
        (torch.zeros(2, 40, 20), [40, 0], "utterance 1 has 0 feature frames, fewer than the front end's 7"),
        (torch.zeros(3, 1, 20), [1, 1, 1], "utterance 0 has 1 feature frames"),
        (torch.zeros(1, 6, 20), [6], "utterance 0 has 6 feature frames"),
        (torch.full((1, 40, 20), torch.nan), [40], "features of utterance 0 are not finite"),
        (torch.full((1, 40, 20), -torch.inf), [40], "features of utterance 0 are not finite"),
        (torch.zeros(1, 40, 80), [40], r"shape \[1, 40, 80\], not \(batch, frames, 20\)"),
        (torch.zeros(40, 20), [40], "not \\(batch, frames, 20\\)"),
        (torch.zeros(2, 40, 20), [40], r"2 utterances came with lengths of shape \[1\]"),
        (torch.zeros(1, 40, 20), [41], "lengths go from 41 to 41, but there are 40 feature frames"),
        (torch.zeros(1, 40, 20), [-1], "lengths go from -1"),
        (torch.zeros(0, 40, 20), [], "the batch is empty"),
    ],
)
def test_utterances(features: Tensor, lens: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        encoder()(features, torch.tensor(lens, dtype=torch.long))


@pytest.mark.parametrize(
    "features, lens, message",
    [
        (
            torch.zeros(2, 19, 20),
            [19, 6],
            "stream 1 brings 6 feature frames, fewer than .* 7 .*next chunk",
        ),
        (torch.full((2, 19, 20), torch.nan), [19, 19], "features of utterance 0 are not finite"),
        (torch.zeros(2, 19, 80), [19, 19], "not \\(batch, frames, 20\\)"),
    ],
)
def test_chunks(features: Tensor, lens: list[int], message: str) -> None:
    own = encoder()
    with pytest.raises(InputError, match=message):
        own.forward_chunk(features, torch.tensor(lens), own.empty_cache(2, 8, features), 8)


@pytest.mark.parametrize(
    "changes", [{"num_blocks": 3}, {"attention_heads": 4}, {"output_size": 32}, {"cnn_module_kernel": 7}]
)
def test_the_cache_of_another_model(changes: dict) -> None:
    features = torch.zeros(1, 19, 20)
    foreign = encoder(**changes).empty_cache(1, 8, features)
    with pytest.raises(InputError, match=r"cache is of another model or batch: \w+ has shape .*, not "):
        encoder().forward_chunk(features, torch.tensor([19]), foreign, 8)


def test_the_cache_of_other_streams() -> None:
    own, features = encoder(), torch.zeros(1, 19, 20)
    with pytest.raises(InputError, match="another model or batch"):
        own.forward_chunk(features, torch.tensor([19]), own.empty_cache(2, 8, features), 8)
    torn = own.empty_cache(1, 8, features)._replace(lens=torch.tensor([9]))
    with pytest.raises(InputError, match="has 8 frames, but claims 9"):
        own.forward_chunk(features, torch.tensor([19]), torn, 8)


def test_a_checkpoint_of_another_architecture() -> None:
    dense = AsrModel(ModelConfig(CONFIG, TransformerDecoderConfig(2, 32, 1)), 20, 11)
    conformer, transformer = (
        AsrModel(ModelConfig(dataclasses.replace(CONFIG, type=kind), dense.config.decoder), 20, 11)
        for kind in ("conformer", "transformer")
    )
    load_weights(dense, conformer.state_dict(), "conformer.pt")
    with pytest.raises(CheckpointError, match="transformer.pt: does not fit the model: .* is missing"):
        load_weights(dense, transformer.state_dict(), "transformer.pt")


def test_a_transcript_longer_than_the_encoders_output_is_counted() -> None:
    torch.manual_seed(0)
    model = AsrModel(ModelConfig(CONFIG, TransformerDecoderConfig(2, 32, 1)), 20, 11).eval()
    features = torch.randn(3, 31, 20)  # seven encoder frames
    targets = torch.tensor([[3, 4, 3, 4, 3, 4, 3], [3, 3, 3, 3, -1, -1, -1], [3, 3, 3, 3, 3, -1, -1]])
    losses = model(features, torch.tensor([31, 31, 31]), targets, torch.tensor([7, 4, 5]))
    assert losses.parts["no_alignment"].tolist() == [0, 0, 1]  # four times the same takes three blanks between
    assert losses.parts["ctc"][2] == 0 and (losses.parts["ctc"][:2] > 0).all()
    losses.total.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_recognition_gives_what_is_too_short_an_empty_hypothesis_and_a_reason(
    toy: Toy, toy_model, tmp_path, caplog
) -> None:
    import json

    import soundfile

    soundfile.write(tmp_path / "short.wav", torch.zeros(1000).numpy(), 16000)
    lines = (toy.folder / "dev/data.list").read_text().splitlines()[:2]
    short = {**json.loads(lines[0]), "key": "a-short-one", "wav": str(tmp_path / "short.wav"), "num_samples": 1000}
    (tmp_path / "data.list").write_text("\n".join([*lines, json.dumps({**short, "duration": 1 / 16})]) + "\n")
    common = ["--exp-dir", str(toy_model), "--checkpoint", str(toy_model / "avg_2.pt"), "--device", "cpu"]
    arguments = ["--data", str(tmp_path / "data.list"), "--result-dir", str(tmp_path), "--modes", "ctc_greedy_search"]
    assert recognize.main([*common, *arguments]) == 0
    text = (tmp_path / "ctc_greedy_search/text").read_text().splitlines()
    assert len(text) == 3 and "a-short-one" in text
    assert "utterance a-short-one has an empty hypothesis: is too short to be heard" in caplog.text


def test_a_history_that_cannot_be() -> None:
    own, features = encoder(), torch.zeros(1, 19, 20)
    with pytest.raises(InputError, match="next_cache_frames -1 is negative"):
        own.forward_chunk(features, torch.tensor([19]), own.empty_cache(1, 8, features), -1)


def test_batch_norm_without_statistics() -> None:
    with pytest.raises(InputError, match="batch norm cannot be trained on 1 encoder frames"):
        encoder(cnn_module_norm="batch_norm").train()(torch.zeros(1, 7, 20), torch.tensor([7]))


def test_an_utterance_without_frames_weighs_nothing_in_training() -> None:
    model = whole_model()
    targets, target_lens = torch.tensor([[3, 4], [5, 6]]), torch.tensor([2, 2])
    losses = model(torch.randn(2, 60, 20), torch.tensor([60, 0]), targets, target_lens)
    assert losses.total[1] == 0 and losses.total[0] > 0
    assert losses.parts["no_alignment"].tolist() == [0, 1] and losses.parts["attention"][1] == 0


@torch.no_grad()
def test_a_deployed_model_puts_out_no_frame_for_a_chunk_that_is_too_short() -> None:
    runtime = torch.jit.script(
        TorchScriptModel(AsrModel(ModelConfig(CONFIG, TransformerDecoderConfig(2, 32, 1)), 20, 11))
    )
    nothing = torch.zeros(0, 0, 0, 0)
    out, attention, _ = runtime.eval().forward_encoder_chunk(torch.randn(1, 3, 20), 0, -1, nothing, nothing)
    assert out.shape == (1, 0, 16) and attention.shape[2] == 0


@pytest.mark.parametrize("changes", [{"lsm_weight": 1.0}, {"lsm_weight": -0.1}, {"ctc_weight": 1.5}])
def test_weights_of_losses(changes: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        ModelConfig(CONFIG, TransformerDecoderConfig(2, 32, 1), **changes)


@torch.no_grad()
@pytest.mark.parametrize("positions", ["abs_pos", "rel_pos", "rel_pos_true"])
def test_half_precision_is_taken(positions: str) -> None:
    own = AsrModel(
        ModelConfig(dataclasses.replace(CONFIG, pos_enc_layer_type=positions), TransformerDecoderConfig(2, 32, 1)),
        20,
        11,
    )
    features, lens = torch.randn(2, 60, 20), torch.tensor([60, 40])
    expected, out_lens = own.eval().encoder(features, lens)
    out, _ = own.bfloat16().encoder(features.bfloat16(), lens)
    assert out.dtype == torch.bfloat16 and (out[0].float() - expected[0]).abs().mean() < 0.05
    assert own.left_decoder(out, out_lens, torch.tensor([[2, 3], [2, 4]]), torch.tensor([2, 2])).dtype == torch.bfloat16
