"""ONNX files say what the model says: in any batch, to WeNet's runtime, and in the searches."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from exported_model import SHORT_HISTORY, ExportedModel, untrained
from toy import Toy

from wenet_lite.data.audio import read_audio
from wenet_lite.decoding.batch_recognizer import BatchRecognizer
from wenet_lite.decoding.options import DecodingOptions
from wenet_lite.decoding.recognition_options import RecognitionOptions
from wenet_lite.errors import ConfigError, ExportError
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.convolution import PointwiseConv1d
from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.mixture import MixtureConfig
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.model.multi_level import MultiLevelConfig
from wenet_lite.runtime.export.onnx_check import OnnxCheck
from wenet_lite.runtime.export.onnx_export import choose_context, export_onnx
from wenet_lite.runtime.export.onnx_files import quantize, write_onnx
from wenet_lite.runtime.export.onnx_graphs import batch_graphs, wenet_graphs
from wenet_lite.runtime.onnx_model import OnnxEncoder, OnnxFile, OnnxModel
from wenet_lite.runtime.onnx_packages import require_packages

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SMALL = EncoderConfig(
    output_size=16, attention_heads=2, linear_units=32, num_blocks=2, subsampling_channels=4, cnn_module_kernel=5
)  # fmt: skip
EXPERTS = MixtureConfig(num_experts=4, top_k=2, embedding_num_blocks=1, embedding_linear_units=16)
SELF_CONDITIONED = MultiLevelConfig(layers=(1,), self_conditioning=True)
VARIANTS = {
    "3M": ModelConfig(dataclasses.replace(SMALL, moe=EXPERTS), multi_level=SELF_CONDITIONED),
    "abs_pos": ModelConfig(dataclasses.replace(SMALL, pos_enc_layer_type="abs_pos", input_layer="conv2d6")),
    "true distances": ModelConfig(dataclasses.replace(SMALL, pos_enc_layer_type="rel_pos_true")),
    "transformer": ModelConfig(dataclasses.replace(SMALL, type="transformer", cnn_module_norm="batch_norm")),
    "no convolutions": ModelConfig(
        dataclasses.replace(SMALL, use_cnn_module=False, macaron_style=False, activation_type="gelu")
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def exported(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    model = untrained(toy, tmp_path_factory.mktemp("onnx"))
    export_onnx(model.loaded, model.folder, model.checked_audio, quantize=True, **SHORT_HISTORY)
    return model


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS])
def variant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[AsrModel, Path]:
    """A model, and the file of its encoder for batches."""
    torch.manual_seed(0)
    config = dataclasses.replace(VARIANTS[request.param], decoder=TransformerDecoderConfig(2, 32, 1))
    model = AsrModel(config.shipped, 20, 11).eval()
    path = tmp_path_factory.mktemp("variant") / "batch_encoder.onnx"
    write_onnx(batch_graphs(model)[0], {}, path)
    return model, path


def session(path: Path) -> "onnxruntime.InferenceSession":
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def nbests(model: AsrModel | OnnxModel, exported: ExportedModel, **options: object) -> list:
    modes = ("ctc_greedy_search", "ctc_prefix_beam_search", "attention_rescoring")
    wanted = RecognitionOptions(modes, DecodingOptions(beam_size=4), **options)
    samples = [torch.from_numpy(read_audio(utterance.wav)[0]) for utterance in exported.utterances]
    waveforms = torch.nn.utils.rnn.pad_sequence(samples, batch_first=True)
    recognizer = BatchRecognizer(model, exported.loaded.fbank, wanted, torch.device("cpu"))
    return recognizer(waveforms, torch.tensor([len(each) for each in samples]), modes)


def test_streams_of_any_age_and_length_go_together(variant: tuple[AsrModel, Path]) -> None:
    """In rooms that grow and shrink; one stream starts late, and another brings little or nothing."""
    model, path = variant
    encoder = OnnxEncoder(OnnxFile(path, 1), model.config.encoder)
    chunk = 4 * encoder.embed.rate + encoder.embed.right_context
    ours, theirs = encoder.empty_cache(3, 0, torch.zeros(0)), model.encoder.empty_cache(3, 0, torch.zeros(0))
    for step, room in enumerate((3, 8, 8, 2, 0, 5)):
        features = torch.randn(3, chunk, 20) * 3 + 10
        lens = torch.tensor([chunk, chunk if step > 1 else 0, (chunk, chunk - 5, 0)[step % 3]])
        actual, actual_lens, ours = encoder.forward_chunk(features, lens, ours, room)
        expected, expected_lens, theirs = model.encoder.forward_chunk(features, lens, theirs, room)
        heard = torch.arange(expected.shape[1]) < expected_lens.unsqueeze(1)
        outputs = (actual[heard], actual_lens, *ours), (expected[heard], expected_lens, *theirs)
        torch.testing.assert_close(*outputs, atol=1e-4, rtol=0)
    alone, _, _ = encoder.forward_chunk(features[:1], lens[:1], encoder.empty_cache(1, 1, features), 1)
    first, _ = model.encoder(features[:1], lens[:1])
    torch.testing.assert_close(alone, first, atol=1e-4, rtol=0)


def test_int8_leaves_convolutions_and_the_gates_of_experts(variant: tuple[AsrModel, Path]) -> None:
    model, path = variant
    before, after = (onnx.load(file).graph.node for file in (path, quantize(path)))
    gates = [node.name for node in after if node.op_type == "MatMul" and ".gate/" in node.name]
    assert len(gates) == len(model.config.encoder.layers_with_experts)
    linear = [module for module in model.encoder.modules() if isinstance(module, (torch.nn.Linear, PointwiseConv1d))]
    assert sum(node.op_type == "MatMulInteger" for node in after) == len(linear) - len(gates)
    assert sum(node.op_type == "Conv" for node in before) == sum(node.op_type == "Conv" for node in after)


@pytest.mark.parametrize("options", [{}, {"chunk_size": 4, "num_left_chunks": 2, "streaming": True}])
def test_searches_find_the_models_nbest_and_scores(exported: ExportedModel, options: dict[str, object]) -> None:
    model = OnnxModel(exported.folder.joinpath, exported.loaded.model.config)
    found = nbests(model, exported, **options)
    for actual, expected in zip(found, nbests(exported.loaded.model, exported, **options)):
        for mode, hyps in expected.items():
            assert [hyp.tokens for hyp in actual[mode]] == [hyp.tokens for hyp in hyps], mode
            assert [hyp.score for hyp in actual[mode]] == pytest.approx([hyp.score for hyp in hyps], rel=1e-4), mode
    assert any(hyps["ctc_greedy_search"][0].tokens for hyps in found)


def test_wenets_runtime_hears_the_same_frames(exported: ExportedModel) -> None:
    """As its C++ does it: offset from the size of the cache on, a mask over what is not there yet, by names."""
    encoder, ctc = session(exported.folder / "onnx/encoder.onnx"), session(exported.folder / "onnx/ctc.onnx")
    about = {key: int(value) for key, value in encoder.get_modelmeta().custom_metadata_map.items() if "." not in value}
    size, room = about["chunk_size"], about["chunk_size"] * about["left_chunks"]
    d_k = about["output_size"] // about["head"]
    att_cache = np.zeros((about["num_blocks"], about["head"], room, 2 * d_k), np.float32)
    cnn_cache = np.zeros((about["num_blocks"], 1, about["output_size"], about["cnn_module_kernel"] - 1), np.float32)
    features = exported.checked_audio.references[0].features.numpy()
    window = (size - 1) * about["subsampling_rate"] + about["right_context"] + 1
    offset, outs = room, []
    for start in range(0, features.shape[1] - about["right_context"], size * about["subsampling_rate"]):
        mask = np.ones((1, 1, room + size), bool)
        mask[:, :, : max(2 * room - offset, 0)] = False
        feeds = {
            "chunk": features[:, start : start + window],
            "offset": np.array(offset),
            "required_cache_size": np.array(room),
            "att_cache": att_cache,
            "cnn_cache": cnn_cache,
            "att_mask": mask,
        }
        out, att_cache, cnn_cache = encoder.run(["output", "r_att_cache", "r_cnn_cache"], feeds)
        offset += out.shape[1]
        outs.append(ctc.run(["probs"], {"hidden": out})[0])
    model = exported.loaded.model
    out, _ = model.encoder(torch.from_numpy(features), torch.tensor([features.shape[1]]), size, about["left_chunks"])
    np.testing.assert_allclose(np.concatenate(outs, 1), model.ctc_log_probs(out).numpy(), rtol=1e-4, atol=1e-4)


def test_wenets_runtime_gets_two_scores_for_three_inputs(exported: ExportedModel) -> None:
    """It reads both outputs by their place, in a model of one direction, too; it pads hypotheses with zeros."""
    decoder = session(exported.folder / "onnx/decoder.onnx")
    assert [node.name for node in decoder.get_inputs()] == ["hyps", "hyps_lens", "encoder_out"]
    reference = exported.checked_audio.references[0]
    hyps, lens = np.array([[2, 3, 4, 5], [2, 6, 0, 0]]), np.array([4, 2])
    scores, reverse = decoder.run(None, {"hyps": hyps, "hyps_lens": lens, "encoder_out": reference.encoder_out.numpy()})
    model, memory = exported.loaded.model, reference.encoder_out
    for actual, tree, tokens in ((scores, model.left_decoder, [2, 6]), (reverse, model.right_decoder, [2, 6])):
        logits = tree(memory, torch.tensor([memory.shape[1]]), torch.tensor([tokens]), torch.tensor([2]))
        np.testing.assert_allclose(actual[1, :2], logits[0].log_softmax(-1).numpy(), rtol=1e-4, atol=1e-4)
    logits = model.right_decoder(
        memory, torch.tensor([memory.shape[1]]), torch.tensor([[2, 5, 4, 3]]), torch.tensor([4])
    )
    np.testing.assert_allclose(reverse[0], logits[0].log_softmax(-1).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("streams", [True, False])
def test_wenets_runtime_gets_all_of_the_past(streams: bool, toy: Toy, tmp_path: Path) -> None:
    settings = [] if streams else ["model.encoder.causal=false", "model.encoder.use_dynamic_chunk=false"]
    model = untrained(toy, tmp_path, *settings)
    chunk_size, num_left_chunks = choose_context(model.loaded.model, 4 if streams else None, -1)
    assert (chunk_size, num_left_chunks) == (4 if streams else -1, -1)
    graph = wenet_graphs(model.loaded.model, num_left_chunks)[0]
    write_onnx(graph, {}, tmp_path / "encoder.onnx")
    check = OnnxCheck(model.loaded, model.checked_audio, chunk_size, num_left_chunks, is_int8=False)
    check.one_stream(tmp_path / "encoder.onnx", model.loaded.model.ctc_log_probs)


def test_a_file_of_another_model_is_refused(exported: ExportedModel) -> None:
    check = OnnxCheck(exported.loaded, exported.checked_audio, 4, 2, is_int8=False)
    bias = exported.loaded.model.ctc.ctc_lo.bias
    before = bias.clone()
    bias[3] += 0.01
    try:
        with pytest.raises(ExportError, match=r"encoder\.onnx: the export differs from the model: largest difference"):
            ctc = OnnxFile(exported.folder / "onnx/ctc.onnx", 1)
            check.one_stream(exported.folder / "onnx/encoder.onnx", lambda out: ctc(out)[0])
    finally:
        bias.copy_(before)


def test_files_are_for_old_runtimes_and_tell_nothing_of_where_they_were_made(exported: ExportedModel) -> None:
    for path in (exported.folder / "onnx").glob("*.onnx"):
        proto = onnx.load(path)
        if ".int8" not in path.name:
            assert (proto.ir_version, proto.opset_import[0].version) == (8, 17), path
        assert b"stack_trace" not in path.read_bytes(), path


def test_a_missing_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match="needs the package onnxruntime.*pip install onnx onnxscript onnxruntime"):
        require_packages("onnx", "onnxruntime")


@pytest.mark.parametrize("left", [0, -2])
def test_a_history_that_cannot_be_is_refused(left: int) -> None:
    with pytest.raises(ConfigError, match="chunks of history"):
        choose_context(AsrModel(VARIANTS["abs_pos"], 20, 11), 4, left)
