"""The encoder and CTC outputs of a model that WeNet trained and ran."""

import pytest
import torch

from wenet_lite.config import load_yaml
from wenet_lite.decoding.attention_beam import AttentionBeamSearch
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.options import DecodingOptions
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.attention import sinusoids
from wenet_lite.model.ctc import Ctc
from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder import Encoder
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.mask import chunk_mask, padding_mask
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.runtime.torchscript import TorchScriptModel


@pytest.fixture(scope="module")
def reference(golden):
    return torch.load(golden / "u2pp" / "golden.pt", weights_only=True)


@pytest.fixture(scope="module")
def weights(golden):
    return torch.load(golden / "u2pp" / "final.pt", weights_only=True)


@pytest.fixture(scope="module")
def encoder(golden, weights) -> Encoder:
    conf = load_yaml(golden / "u2pp" / "train.yaml")
    names = EncoderConfig.__dataclass_fields__
    config = EncoderConfig(**{k: v for k, v in conf["encoder_conf"].items() if k in names})
    encoder = Encoder(config, conf["input_dim"])
    # Position tables are computed here, not stored.
    state = {k.removeprefix("encoder."): v for k, v in weights.items() if k.startswith("encoder.") and ".pe" not in k}
    encoder.load_state_dict(state, strict=True)
    return encoder.eval()


@pytest.fixture(scope="module")
def ctc(weights) -> Ctc:
    weight = weights["ctc.ctc_lo.weight"]
    head = Ctc(weight.shape[1], weight.shape[0])
    head.load_state_dict({k.removeprefix("ctc."): v for k, v in weights.items() if k.startswith("ctc.")}, strict=True)
    return head.eval()


def assert_valid_close(actual, expected, lens, atol: float = 1e-5) -> None:
    """Compare frames that are not padding."""
    for a, e, length in zip(actual, expected, lens):
        torch.testing.assert_close(a[:length], e[:length], rtol=0, atol=atol)


@torch.no_grad()
def test_whole_utterances_and_their_front_end(encoder, reference) -> None:
    out, lens = encoder(reference["feats"], reference["feats_lengths"])
    assert lens.tolist() == reference["encoder_lens"].tolist()
    assert_valid_close(out, reference["encoder_out_full"], lens)
    torch.testing.assert_close(encoder.global_cmvn(reference["feats"]), reference["cmvn_out"], rtol=0, atol=1e-5)
    torch.testing.assert_close(sinusoids(torch.arange(50), 64)[None], reference["pos_emb"], rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("chunk_size, left", [(16, -1), (4, 2), (1, 0), (8, 1)])
def test_masked_chunks(encoder, reference, chunk_size: int, left: int) -> None:
    out, lens = encoder(reference["feats"], reference["feats_lengths"], chunk_size, left)
    assert_valid_close(out, reference[f"encoder_out_chunk{chunk_size}_left{left}"], lens)
    mask = padding_mask(lens, 50)[:, None] & chunk_mask(50, chunk_size, left, lens.device)
    assert torch.equal(mask, reference[f"chunk_mask_chunk{chunk_size}_left{left}"])


@torch.no_grad()
@pytest.mark.parametrize("chunk_size, left", [(4, 2), (16, -1), (16, 4)])
def test_streams_and_their_caches(encoder, reference, chunk_size: int, left: int) -> None:
    cache = encoder.empty_cache(1, 0, torch.zeros(1))
    for step in reference[f"stream_chunk{chunk_size}_left{left}"]:
        features = reference["feats"][:1, step["start"] : step["end"]]
        frames = int(cache.lens) + step["y"].shape[1]
        keep = frames if left < 0 else min(chunk_size * left, frames)
        out, _, cache = encoder.forward_chunk(features, torch.tensor([features.shape[1]]), cache, keep)
        torch.testing.assert_close(out, step["y"], rtol=0, atol=1e-5)
        torch.testing.assert_close(cache.attention.squeeze(1), step["att_cache"], rtol=0, atol=1e-5)
        torch.testing.assert_close(cache.convolution, step["cnn_cache"], rtol=0, atol=1e-5)
        assert cache.offset.tolist() == [step["offset_after"]]


@torch.no_grad()
def test_ctc_posteriors(encoder, ctc, reference) -> None:
    out, lens = encoder(reference["feats"], reference["feats_lengths"])
    assert_valid_close(ctc(out), reference["ctc_logprobs_full"], lens, atol=1e-4)
    out, lens = encoder(reference["feats"], reference["feats_lengths"], 16, -1)
    assert_valid_close(ctc(out), reference["ctc_logprobs_chunk16"], lens, atol=1e-4)


@pytest.fixture(scope="module")
def model(golden, weights) -> AsrModel:
    conf = load_yaml(golden / "u2pp" / "train.yaml")
    encoder_names, decoder_names = EncoderConfig.__dataclass_fields__, TransformerDecoderConfig.__dataclass_fields__
    config = ModelConfig(
        encoder=EncoderConfig(**{k: v for k, v in conf["encoder_conf"].items() if k in encoder_names}),
        decoder=TransformerDecoderConfig(**{k: v for k, v in conf["decoder_conf"].items() if k in decoder_names}),
        ctc_weight=conf["model_conf"]["ctc_weight"],
        lsm_weight=conf["model_conf"]["lsm_weight"],
        reverse_weight=conf["model_conf"]["reverse_weight"],
    )
    model = AsrModel(config, conf["input_dim"], conf["vocab_size"])
    model.load_state_dict({name: value for name, value in weights.items() if ".pe" not in name}, strict=True)
    return model.eval()


@torch.no_grad()
def test_decoder_scores_of_given_hypotheses(model, reference) -> None:
    given = reference["fad"]
    scripted = torch.jit.script(TorchScriptModel(model))
    for runtime in (TorchScriptModel(model), scripted):
        arguments = (given["hyps"], given["hyps_lens"], given["encoder_out"], given["reverse_weight"])
        forwards, backwards = runtime.forward_attention_decoder(*arguments)
        assert_valid_close(forwards, given["decoder_out"], given["hyps_lens"], atol=1e-4)
        assert_valid_close(backwards, given["r_decoder_out"], given["hyps_lens"], atol=1e-4)
        assert runtime.is_bidirectional_decoder()
        assert runtime.forward_attention_decoder(*arguments[:3], 0.0)[1].dim() == 0


def test_losses_and_gradients(model, reference) -> None:
    model.zero_grad()
    losses = model(reference["feats"], reference["feats_lengths"], reference["text"], reference["text_lengths"].long())
    expected = reference["loss_full"]
    torch.testing.assert_close(losses.parts["ctc"].mean(), expected["loss_ctc"], rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(losses.total.mean(), expected["loss"], rtol=1e-5, atol=1e-3)
    right = losses.parts["accuracy"] * (reference["text_lengths"] + 1)
    accuracy = right.sum() / (reference["text_lengths"] + 1).sum()
    torch.testing.assert_close(accuracy, expected["th_accuracy"], rtol=0, atol=1e-4)
    losses.total.mean().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert gradients.keys() == reference["grads_full"].keys()
    for name, gradient in gradients.items():
        # CTC's float32 posteriors come from sums near -200, where float32 steps by 1.5e-5: so do all gradients.
        scale = float(reference["grads_full"][name].abs().max())
        torch.testing.assert_close(gradient, reference["grads_full"][name], rtol=0, atol=1e-4 * scale + 1e-6, msg=name)


@torch.no_grad()
@pytest.mark.parametrize("penalty, name", [(0.0, "attention"), (0.5, "attention_lp0.5")])
def test_attention_search(model, reference, penalty: float, name: str) -> None:
    encoder_out, lens = model.encoder(reference["feats"], reference["feats_lengths"])
    found = AttentionBeamSearch(model, 10, penalty)(encoder_out, lens)
    assert [hyps[0].tokens for hyps in found] == [tuple(r["tokens"]) for r in reference["decode_full"][name]]


@torch.no_grad()
@pytest.mark.parametrize("name, chunk_size", [("decode_full", -1), ("decode_chunk16", 16)])
def test_attention_rescoring_in_both_directions(model, reference, name: str, chunk_size: int) -> None:
    encoder_out, lens = model.encoder(reference["feats"], reference["feats_lengths"], chunk_size)
    options = DecodingOptions(beam_size=10, ctc_weight=0.5, reverse_weight=0.3)
    found = Decoder(model, options)(encoder_out, lens, ["attention_rescoring"])["attention_rescoring"]
    for hyps, expected in zip(found, reference[name]["attention_rescoring"]):
        assert hyps[0].tokens == tuple(expected["tokens"]) and hyps[0].times == tuple(expected["times"])
        assert hyps[0].score == pytest.approx(expected["score"], abs=1e-4)
