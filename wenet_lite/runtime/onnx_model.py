"""An exported model that decoding can use in place of the PyTorch model: the same calls, computed by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from wenet_lite.decoding.chunked_encoder import encode_by_chunks
from wenet_lite.errors import ConfigError
from wenet_lite.model.asr_model import BLANK_ID, EOS_ID, SOS_ID
from wenet_lite.model.cache import EncoderCache
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.input_check import check_cache, check_chunk, check_utterances
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.model.subsampling import right_context, subsampling_rate
from wenet_lite.runtime.onnx_packages import require_packages


class OnnxFile:
    """A file that is run on tensors.

    Args:
        path: the file.
        num_threads: of one run.
    Attributes:
        inputs: shape of each input by name; axes of any length have names.
    Raises:
        ConfigError: if onnxruntime is not installed.
    """

    def __init__(self, path: Path, num_threads: int) -> None:
        require_packages("onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs: dict[str, list[int | str]] = {node.name: node.shape for node in self._session.get_inputs()}

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """All outputs, for all inputs in the file's order."""
        feeds = {name: tensor.contiguous().numpy() for name, tensor in zip(self.inputs, inputs)}
        return [torch.from_numpy(output) for output in self._session.run(None, feeds)]


@dataclass
class OnnxFrontEnd:
    """Attributes:
    rate: feature frames an encoder frame.
    right_context: feature frames that an encoder frame sees after its first.
    """

    rate: int
    right_context: int


class OnnxEncoder:
    """`batch_encoder.onnx` in the place of `Encoder`; it runs on the CPU.

    Args:
        file: the graph.
        config: of the encoder.
    Attributes:
        dim: of its output.
        input_dim: feature bins.
        embed: what there is to know of the front end.
    """

    def __init__(self, file: OnnxFile, config: EncoderConfig) -> None:
        self._file, self._static_chunk_size = file, config.static_chunk_size
        self._looks_ahead = config.looks_ahead
        self.dim, self.input_dim = config.output_size, int(file.inputs["features"][2])
        self.embed = OnnxFrontEnd(subsampling_rate(config.input_layer), right_context(config.input_layer))

    def __call__(
        self, features: Tensor, lens: Tensor, chunk_size: int = -1, num_left_chunks: int = -1
    ) -> tuple[Tensor, Tensor]:
        """As `Encoder.forward`; in chunks it goes through caches, which gives what masks give.

        Raises:
            InputError: as `Encoder.forward`.
            ConfigError: if the model looks ahead and is asked for chunks.
        """
        check_utterances(features, lens, self.input_dim, self.embed.right_context + 1, finite=True)
        chunk_size = chunk_size if chunk_size > 0 else self._static_chunk_size
        if chunk_size > 0:
            if self._looks_ahead:
                raise ConfigError("the exported model's convolutions look ahead", cure="recognise whole utterances")
            return encode_by_chunks(self, features, lens, chunk_size, num_left_chunks)
        out, out_lens, _ = self._run(features, lens, self.empty_cache(len(features), 0, features))
        return out, out_lens

    def empty_cache(self, batch_size: int, cache_frames: int, like: Tensor) -> EncoderCache:
        """As `Encoder.empty_cache`."""
        layers, _, heads, _, size = self._file.inputs["att_cache"]
        context = self._file.inputs["cnn_cache"][3]
        return EncoderCache(
            like.new_zeros(int(layers), batch_size, int(heads), cache_frames, int(size)),
            like.new_zeros(int(layers), batch_size, self.dim, int(context)),
            torch.zeros(batch_size, dtype=torch.long),
            torch.zeros(batch_size, dtype=torch.long),
        )

    def forward_chunk(
        self, features: Tensor, lens: Tensor, cache: EncoderCache, next_cache_frames: int
    ) -> tuple[Tensor, Tensor, EncoderCache]:
        """As `Encoder.forward_chunk`."""
        check_chunk(features, lens, self.input_dim, self.embed.right_context + 1, next_cache_frames)
        check_cache(cache, self.empty_cache(len(features), 0, features))
        missing = next_cache_frames - cache.attention.shape[3]
        if missing > 0:
            cache = cache._replace(attention=nn.functional.pad(cache.attention, (0, 0, missing, 0)))
        out, out_lens, cache = self._run(features, lens, cache)
        if missing < 0:
            cache = cache._replace(
                attention=cache.attention[:, :, :, -missing:], lens=cache.lens.clamp(max=next_cache_frames)
            )
        return out, out_lens, cache

    def _run(self, features: Tensor, lens: Tensor, cache: EncoderCache) -> tuple[Tensor, Tensor, EncoderCache]:
        missing = max(self.embed.right_context + 1 - features.shape[1], 0)
        features = nn.functional.pad(features, (0, 0, 0, missing))
        out, out_lens, *state = self._file(features, lens, *cache)
        return out, out_lens, EncoderCache(*state)


class OnnxTreeDecoder:
    """`left_decoder.onnx` or `right_decoder.onnx`.

    Args:
        file: the graph.
    """

    def __init__(self, file: OnnxFile) -> None:
        self._file = file

    def tree_logits(
        self, memory: Tensor, memory_lens: Tensor, tokens: Tensor, positions: Tensor, visible: Tensor
    ) -> Tensor:
        """As `TransformerDecoder.tree_logits`."""
        return self._file(memory, memory_lens, tokens, positions, visible)[0]


class OnnxModel:
    """The files of `onnx/` in a model directory as an `AcousticModel`.

    Args:
        find: the path of a file, given its name relative to the model directory: `ModelDir.file`, which checks it.
        config: what the model was built from.
        int8: take the files with int8 weights.
        num_threads: of one run; as many as torch's where not given.
    Attributes:
        config: the same.
        blank_id, sos_id, eos_id: special tokens.
        encoder, left_decoder, right_decoder: see `AcousticModel`.
    Raises:
        ConfigError: if onnxruntime is not installed.
    """

    def __init__(
        self, find: Callable[[str], Path], config: ModelConfig, *, int8: bool = False, num_threads: int | None = None
    ) -> None:
        def load(name: str) -> OnnxFile:
            path = find(f"onnx/{name}.int8.onnx" if int8 else f"onnx/{name}.onnx")
            return OnnxFile(path, num_threads or torch.get_num_threads())

        self.config = config
        self.blank_id, self.sos_id, self.eos_id = BLANK_ID, SOS_ID, EOS_ID
        self.encoder = OnnxEncoder(load("batch_encoder"), config.encoder)
        self.left_decoder = OnnxTreeDecoder(load("left_decoder"))
        self.right_decoder = OnnxTreeDecoder(load("right_decoder")) if config.decoder.r_num_blocks else None
        self._ctc = load("ctc")

    def ctc_log_probs(self, encoder_out: Tensor) -> Tensor:
        """(batch, frames, dim) to (batch, frames, vocab) log posteriors."""
        return self._ctc(encoder_out)[0]
