"""The chunk step as a program of `torch.export`, which needs neither TorchScript nor this package to run."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim

from wenet_lite.errors import ConfigError
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.cache import EncoderCache
from wenet_lite.runtime.export.agreement import Agreement, CheckedAudio, milliseconds
from wenet_lite.runtime.model_dir import LoadedModel

LEFT_CHUNKS = 4
_MOST_STREAMS = 4096


class ChunkStep(nn.Module):
    """A chunk of each stream of a batch, from features to CTC.

    Args:
        model: that streams.
    """

    def __init__(self, model: AsrModel) -> None:
        super().__init__()
        self.encoder, self.ctc = model.encoder, model.ctc

    def forward(
        self, features: Tensor, lens: Tensor, attention: Tensor, convolution: Tensor, cache_lens: Tensor, offset: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As `Encoder.forward_chunk`, the cache in its four parts; as many frames are cached afterwards as before.

        Returns:
            (batch, encoder_frames, vocab) log posteriors, (batch, encoder_frames, dim) encoder output for a decoder,
            (batch,) valid encoder frames, and the next cache.
        """
        cache = EncoderCache(attention, convolution, cache_lens, offset)
        out, out_lens, cache = self.encoder.forward_chunk(features, lens, cache, attention.shape[3])
        return self.ctc(out), out, out_lens, cache.attention, cache.convolution, cache.lens, cache.offset


@torch.no_grad()
def export_program(loaded: LoadedModel, folder: Path, audio: CheckedAudio) -> None:
    """Write `program/chunk_step.pt2`, for any number of streams; chunk and history are fixed in it.

    Args:
        loaded: a model that streams.
        folder: to write into.
        audio: what the program must agree on with the model.
    Raises:
        ExportError: if the program differs from the model.
        ConfigError: if the model does not stream.
    """
    model, chunk_size = loaded.model, audio.chunk_size
    if chunk_size < 1:
        raise ConfigError("a program of the chunk step needs a model that streams", cure="export it as torchscript")
    embed, room = model.encoder.embed, LEFT_CHUNKS * chunk_size
    frames = embed.rate * (chunk_size - 1) + embed.right_context + 1
    features = torch.zeros(2, frames, model.encoder.input_dim)
    batch = Dim("batch", min=1, max=_MOST_STREAMS)
    shapes = ({0: batch}, {0: batch}, {1: batch}, {1: batch}, {0: batch}, {0: batch})
    example = (features, torch.full((2,), frames), *model.encoder.empty_cache(2, room, features))
    program = torch.export.export(ChunkStep(model), example, dynamic_shapes=shapes)
    (folder / "program").mkdir(exist_ok=True)
    path = folder / "program" / "chunk_step.pt2"
    facts = {
        "schema": 1,
        "chunk_frames": frames,
        "stride_frames": embed.rate * chunk_size,
        "chunk_size": chunk_size,
        "cache_frames": room,
        "inputs": ["features", "lens", "attention", "convolution", "cache_lens", "offset"],
        "outputs": ["log_probs", "encoder_out", "encoder_lens", *(f"next_{name}" for name in EncoderCache._fields)],
    }
    torch.export.save(program, path, extra_files={"facts.json": json.dumps(facts)})
    _check(path, model, audio, frames, room)


def _check(path: Path, model: AsrModel, audio: CheckedAudio, frames: int, room: int) -> None:
    step = torch.export.load(path).module()
    agreement = Agreement(path, is_int8=False)
    for reference in audio.references:
        cache = model.encoder.empty_cache(1, room, reference.features)
        found = []
        for start in range(0, reference.features.shape[1], audio.chunk_size * model.encoder.embed.rate):
            chunk = reference.features[:, start : start + frames]
            lens = torch.tensor([chunk.shape[1]])
            if lens <= model.encoder.embed.right_context:
                break
            chunk = nn.functional.pad(chunk, (0, 0, 0, frames - chunk.shape[1]))
            log_probs, _, out_lens, *parts = step(chunk, lens, *cache)
            cache = EncoderCache(*parts)
            found.append(log_probs[:, : int(out_lens)])
        lens = torch.tensor([reference.features.shape[1]])
        encoder_out, _ = model.encoder(reference.features, lens, audio.chunk_size, LEFT_CHUNKS)
        agreement.compare(torch.cat(found, dim=1), model.ctc_log_probs(encoder_out), reference.key)
    cache = model.encoder.empty_cache(1, room, chunk)
    agreement.conclude(milliseconds(lambda: step(torch.zeros_like(chunk), torch.tensor([frames]), *cache)))
