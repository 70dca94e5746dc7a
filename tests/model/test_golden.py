"""Models of WeNet, run by WeNet: each folder of shared/golden with a golden.pt is one, of whatever architecture."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from shared_folder import SHARED

from wenet_lite.config import load_yaml
from wenet_lite.decoding.attention_beam import AttentionBeamSearch
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.options import DecodingOptions
from wenet_lite.interchange.wenet_config import config_from_wenet
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.attention import sinusoids
from wenet_lite.model.mask import chunk_mask, padding_mask
from wenet_lite.runtime.export.torchscript_model import TorchScriptModel

FOLDERS = sorted(path.parent for path in (SHARED / "golden").glob("*/golden.pt"))
ABSENT = pytest.param(None, marks=pytest.mark.skip(reason="shared/golden is not part of the repository"))


@dataclass(frozen=True)
class Golden:
    """A model of WeNet as ours, in eval mode, and what WeNet computed with it."""

    model: AsrModel
    reference: dict[str, Any]
    dynamic: bool

    def keys(self, pattern: str) -> list[tuple[str, list[int]]]:
        """Names of the reference that match, and the numbers in them."""
        found = [(name, re.fullmatch(pattern, name)) for name in self.reference]
        return [(name, [int(group) for group in match.groups()]) for name, match in found if match]

    @property
    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.reference["feats"], self.reference["feats_lengths"].long()

    @property
    def rows(self) -> list[int]:
        """Utterances that WeNet computes without a leak: in a centred convolution padding reaches the shorter ones."""
        lens = self.reference["feats_lengths"]
        leaks = self.model.config.encoder.looks_ahead
        return [i for i, length in enumerate(lens) if not leaks or length == lens.max()]

    def need(self, *names: str) -> None:
        missing = [name for name in names if name not in self.reference]
        if missing:
            pytest.skip(f"this golden model has no {', '.join(missing)}")

    def need_all_rows(self) -> None:
        if len(self.rows) < len(self.reference["feats_lengths"]):
            pytest.skip("WeNet's value holds the leak of padding into a shorter utterance, which is not copied")

    def context(self, chunk_size: int, left: int) -> tuple[int, int]:
        """What WeNet makes of a chunk that is asked for: it takes another only where the model's are dynamic."""
        static = self.model.config.encoder.static_chunk_size
        if self.dynamic:
            return chunk_size, left
        return (static, left) if static else (-1, -1)

    def assert_valid_close(self, actual, expected, lens, atol: float = 1e-5) -> None:
        """Compare frames that are not padding."""
        for i in self.rows:
            torch.testing.assert_close(actual[i, : lens[i]], expected[i, : lens[i]], rtol=0, atol=atol)


@pytest.fixture(scope="module", params=FOLDERS or [ABSENT], ids=lambda folder: folder.name if folder else "absent")
def golden_model(request: pytest.FixtureRequest) -> Golden:
    folder: Path = request.param
    reference = torch.load(folder / "golden.pt", weights_only=True)
    if reference["sos"] != 2:
        pytest.skip("its units are in another order: see import_wenet")
    tree = load_yaml(folder / "train.yaml")
    model = AsrModel(config_from_wenet(tree, folder / "train.yaml").model, tree["input_dim"], tree["vocab_size"])
    weights = torch.load(folder / "final.pt", weights_only=True)
    # Position tables are computed here, not stored.
    model.load_state_dict({name: value for name, value in weights.items() if not name.endswith(".pe")}, strict=True)
    return Golden(model.eval(), reference, (tree.get("encoder_conf") or {}).get("use_dynamic_chunk", False))


@torch.no_grad()
def test_whole_utterances_layer_by_layer(golden_model: Golden) -> None:
    encoder, reference = golden_model.model.encoder, golden_model.reference
    levels = list(range(1, len(encoder.encoders) + 1))
    encoded = encoder.activations(*golden_model.batch, -1, -1, levels)
    assert encoded.lens.tolist() == reference["encoder_lens"].tolist()
    golden_model.assert_valid_close(encoded.out, reference["encoder_out_full"], encoded.lens)
    torch.testing.assert_close(encoder.global_cmvn(reference["feats"]), reference["cmvn_out"], rtol=0, atol=1e-5)
    embedded, _ = encoder._embed(*golden_model.batch, torch.zeros_like(encoded.lens))
    golden_model.assert_valid_close(embedded, reference["embed_out"], encoded.lens)
    for actual, expected in zip(encoded.levels, reference["encoder_layer_outs_full"], strict=True):
        golden_model.assert_valid_close(actual, expected, encoded.lens)


@torch.no_grad()
def test_positions(golden_model: Golden) -> None:
    golden_model.need("pos_emb")
    expected = golden_model.reference["pos_emb"]
    actual = sinusoids(torch.arange(expected.shape[1]), expected.shape[2])[None]
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_masked_chunks(golden_model: Golden) -> None:
    for name, (chunk_size, left) in golden_model.keys(r"encoder_out_chunk(-?\d+)_left(-?\d+)"):
        out, lens = golden_model.model.encoder(*golden_model.batch, *golden_model.context(chunk_size, left))
        golden_model.assert_valid_close(out, golden_model.reference[name], lens)
    for name, (chunk_size, left) in golden_model.keys(r"chunk_mask_chunk(-?\d+)_left(-?\d+)"):
        expected = golden_model.reference[name]
        lens = golden_model.reference["encoder_lens"]
        time, context = expected.shape[2], golden_model.context(chunk_size, left)
        mask = padding_mask(lens, time)[:, None] & chunk_mask(time, *context, lens.device)
        assert torch.equal(mask, expected.expand(-1, time, -1))


@torch.no_grad()
def test_streams_and_their_caches(golden_model: Golden) -> None:
    encoder, features = golden_model.model.encoder, golden_model.reference["feats"]
    for name, (chunk_size, left) in golden_model.keys(r"stream_chunk(-?\d+)_left(-?\d+)"):
        cache = encoder.empty_cache(1, 0, torch.zeros(1))
        for step in golden_model.reference[name]:
            chunk = features[:1, step["start"] : step["end"]]
            frames = int(cache.lens) + step["y"].shape[1]
            keep = frames if left < 0 else min(chunk_size * left, frames)
            out, _, cache = encoder.forward_chunk(chunk, torch.tensor([chunk.shape[1]]), cache, keep)
            torch.testing.assert_close(out, step["y"], rtol=0, atol=1e-5)
            torch.testing.assert_close(cache.attention.squeeze(1), step["att_cache"], rtol=0, atol=1e-5)
            if step["cnn_cache"].numel():
                torch.testing.assert_close(cache.convolution, step["cnn_cache"], rtol=0, atol=1e-5)
            assert cache.offset.tolist() == [step["offset_after"]]


@torch.no_grad()
def test_ctc_posteriors(golden_model: Golden) -> None:
    for name, chunk_size in (("ctc_logprobs_full", -1), ("ctc_logprobs_chunk16", 16)):
        if name in golden_model.reference:
            out, lens = golden_model.model.encoder(*golden_model.batch, *golden_model.context(chunk_size, -1))
            log_probs = golden_model.model.ctc_log_probs(out)
            golden_model.assert_valid_close(log_probs, golden_model.reference[name], lens, atol=1e-4)


@torch.no_grad()
def test_decoder_scores_of_given_hypotheses(golden_model: Golden) -> None:
    golden_model.need("fad")
    given, bidirectional = golden_model.reference["fad"], golden_model.reference["bidirectional"]
    eager = TorchScriptModel(golden_model.model)
    for runtime in (eager, torch.jit.script(eager)):
        arguments = (given["hyps"], given["hyps_lens"], given["encoder_out"], given["reverse_weight"])
        forwards, backwards = runtime.forward_attention_decoder(*arguments)
        assert runtime.is_bidirectional_decoder() == bidirectional
        for i, length in enumerate(given["hyps_lens"]):
            torch.testing.assert_close(forwards[i, :length], given["decoder_out"][i, :length], rtol=0, atol=1e-4)
            if bidirectional:
                expected = given["r_decoder_out"][i, :length]
                torch.testing.assert_close(backwards[i, :length], expected, rtol=0, atol=1e-4)
        assert runtime.forward_attention_decoder(*arguments[:3], 0.0)[1].dim() == 0


def losses_of(golden: Golden, chunk_size: int = -1):
    """The losses of the reference's batch, and its token accuracy as WeNet counts it."""
    reference = golden.reference
    losses = golden.model(*golden.batch, reference["text"], reference["text_lengths"].long(), chunk_size)
    tokens = reference["text_lengths"] + 1
    return losses, (losses.parts["accuracy"] * tokens).sum() / tokens.sum()


def test_losses(golden_model: Golden) -> None:
    golden_model.need("loss_full")
    golden_model.need_all_rows()
    frames = int(golden_model.reference["encoder_lens"].max())
    cases = [(-1, golden_model.reference["loss_full"])]
    for drawn in golden_model.reference.get("loss_forward_by_seed", []):
        cases.append((-1 if drawn["chunk"] >= frames else drawn["chunk"], drawn))
    for chunk_size, expected in cases:
        losses, accuracy = losses_of(golden_model, chunk_size)
        torch.testing.assert_close(losses.total.mean(), expected["loss"], rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(losses.parts["ctc"].mean(), expected["loss_ctc"], rtol=1e-5, atol=1e-3)
        attention = losses.parts["attention"]
        if "attention_reverse" in losses.parts:
            weight = golden_model.model.config.reverse_weight
            attention = (1 - weight) * attention + weight * losses.parts["attention_reverse"]
        torch.testing.assert_close(attention.mean(), expected["loss_att"], rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(accuracy, expected["th_accuracy"], rtol=0, atol=1e-4)


def test_gradients(golden_model: Golden) -> None:
    golden_model.need("grads_full")
    golden_model.need_all_rows()
    expected = golden_model.reference["grads_full"]
    golden_model.model.zero_grad()
    losses_of(golden_model)[0].total.mean().backward()
    gradients = {name: parameter.grad for name, parameter in golden_model.model.named_parameters()}
    assert gradients.keys() == expected.keys()
    norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
    # CTC's float32 posteriors come from sums near -200, where float32 steps by 1.5e-5: so do all gradients.
    torch.testing.assert_close(norm, golden_model.reference["grad_norm_full"], rtol=1e-4, atol=0)
    for name, gradient in gradients.items():
        scale = float(expected[name].abs().max())
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-4 * scale + 1e-6, msg=name)


@torch.no_grad()
@pytest.mark.parametrize("penalty, name", [(0.0, "attention"), (0.5, "attention_lp0.5")])
def test_attention_search(golden_model: Golden, penalty: float, name: str) -> None:
    golden_model.need("decode_full")
    encoder_out, lens = golden_model.model.encoder(*golden_model.batch)
    found = AttentionBeamSearch(golden_model.model, 10, penalty)(encoder_out, lens)
    expected = golden_model.reference["decode_full"][name]
    for i in golden_model.rows:
        tokens = tuple(expected[i]["tokens"])
        if len(tokens) <= lens[i]:  # in a batch WeNet lets a text grow to the frames of the longest utterance
            assert found[i][0].tokens == tokens


@torch.no_grad()
@pytest.mark.parametrize("name, chunk_size", [("decode_full", -1), ("decode_chunk16", 16)])
def test_attention_rescoring_in_both_directions(golden_model: Golden, name: str, chunk_size: int) -> None:
    golden_model.need(name)
    encoder_out, lens = golden_model.model.encoder(*golden_model.batch, *golden_model.context(chunk_size, -1))
    reverse_weight = 0.3 if golden_model.reference["bidirectional"] else 0.0
    options = DecodingOptions(beam_size=10, ctc_weight=0.5, reverse_weight=reverse_weight)
    found = Decoder(golden_model.model, options)(encoder_out, lens, ["attention_rescoring"])["attention_rescoring"]
    for i in golden_model.rows:
        best, expected = found[i][0], golden_model.reference[name]["attention_rescoring"][i]
        assert best.tokens == tuple(expected["tokens"]) and best.times == tuple(expected["times"])
        assert best.score == pytest.approx(expected["score"], abs=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    ("penalty", "name"), [(0.0, "ctc_logprobs_full"), (1.0, "ctc_logprobs_blank_penalty1")], ids=["none", "one"]
)
def test_the_blank_is_penalised_as_in_wenet(golden_model: Golden, penalty: float, name: str) -> None:
    golden_model.need(name)
    encoder_out, lens = golden_model.model.encoder(*golden_model.batch)
    found = Decoder(golden_model.model, DecodingOptions(blank_penalty=penalty)).log_probs(encoder_out)
    golden_model.assert_valid_close(found, golden_model.reference[name], lens, atol=1e-4)
