"""The encoder and CTC outputs of a model that WeNet trained and ran."""

import pytest
import torch

from wenet_lite.config import load_yaml
from wenet_lite.decoding.attention_beam import AttentionBeamSearch
from wenet_lite.model.asr_model import AsrModel, ModelConfig
from wenet_lite.model.attention import sinusoids
from wenet_lite.model.ctc import Ctc
from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder import ConformerConfig, ConformerEncoder
from wenet_lite.model.mask import chunk_mask, padding_mask


@pytest.fixture(scope="module")
def reference(golden):
    return torch.load(golden / "u2pp" / "golden.pt", weights_only=True)


@pytest.fixture(scope="module")
def weights(golden):
    return torch.load(golden / "u2pp" / "final.pt", weights_only=True)


@pytest.fixture(scope="module")
def encoder(golden, weights) -> ConformerEncoder:
    conf = load_yaml(golden / "u2pp" / "train.yaml")
    names = ConformerConfig.__dataclass_fields__
    config = ConformerConfig(**{k: v for k, v in conf["encoder_conf"].items() if k in names})
    encoder = ConformerEncoder(config, conf["input_dim"])
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
def left_to_right(golden, weights) -> AsrModel:
    """The model without its right-to-left decoder."""
    conf = load_yaml(golden / "u2pp" / "train.yaml")
    encoder_names, decoder_names = ConformerConfig.__dataclass_fields__, TransformerDecoderConfig.__dataclass_fields__
    encoder = ConformerConfig(**{k: v for k, v in conf["encoder_conf"].items() if k in encoder_names})
    decoder = TransformerDecoderConfig(**{k: v for k, v in conf["decoder_conf"].items() if k in decoder_names})
    model_conf = conf["model_conf"]
    config = ModelConfig(encoder, decoder, model_conf["ctc_weight"], model_conf["lsm_weight"])
    model = AsrModel(config, conf["input_dim"], conf["vocab_size"])
    names = {
        k: k.replace("decoder.left_decoder.", "decoder.")
        for k in weights
        if ".pe" not in k and "right_decoder" not in k
    }
    model.load_state_dict({ours: weights[theirs] for theirs, ours in names.items()}, strict=True)
    return model.eval()


@torch.no_grad()
def test_decoder_scores_of_given_hypotheses(left_to_right, reference) -> None:
    given = reference["fad"]
    count = len(given["hyps"])
    memory = given["encoder_out"].expand(count, -1, -1)
    memory_lens = torch.full((count,), memory.shape[1])
    logits = left_to_right.decoder(memory, memory_lens, given["hyps"], given["hyps_lens"])
    assert_valid_close(logits.log_softmax(-1), given["decoder_out"], given["hyps_lens"], atol=1e-4)


@torch.no_grad()
def test_losses(left_to_right, reference) -> None:
    """The CTC loss; WeNet's attention loss mixes in a right-to-left decoder, ours is its left-to-right part."""
    losses = left_to_right(
        reference["feats"], reference["feats_lengths"], reference["text"], reference["text_lengths"].long()
    )
    torch.testing.assert_close(losses.parts["ctc"].mean(), reference["loss_full"]["loss_ctc"], rtol=1e-5, atol=1e-3)
    right = losses.parts["accuracy"] * (reference["text_lengths"] + 1)
    accuracy = right.sum() / (reference["text_lengths"] + 1).sum()
    torch.testing.assert_close(accuracy, reference["loss_full"]["th_accuracy"], rtol=0, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("penalty, name", [(0.0, "attention"), (0.5, "attention_lp0.5")])
def test_attention_search(left_to_right, reference, penalty: float, name: str) -> None:
    encoder_out, lens = left_to_right.encoder(reference["feats"], reference["feats_lengths"])
    found = AttentionBeamSearch(left_to_right, 10, penalty)(encoder_out, lens)
    assert [hyps[0].tokens for hyps in found] == [tuple(r["tokens"]) for r in reference["decode_full"][name]]
