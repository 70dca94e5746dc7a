"""Sizes and options of the encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wenet_lite.model.dropout import check_dropout_rates
from wenet_lite.model.feed_forward import ActivationType
from wenet_lite.model.mixture import MixtureConfig
from wenet_lite.model.subsampling import SubsamplingType


@dataclass(frozen=True)
class EncoderConfig:
    """Keys as in WeNet's `encoder_conf`.

    Attributes:
        type: kind of the layers; a Transformer's have no convolution.
        output_size: size of an encoder frame.
        attention_heads: heads; divides `output_size`.
        linear_units: hidden size of the feed-forward networks.
        num_blocks: layers.
        input_layer: the convolutional front end.
        subsampling_channels: channels of the front end's convolutions; `output_size` if null.
        pos_enc_layer_type: `rel_pos` is WeNet's, which is really absolute; `rel_pos_true` knows distances alone and is
            the choice for long streams; `abs_pos` adds sinusoids to the frames.
        activation_type: non-linearity of feed-forward networks and convolutions; swish in a Conformer and ReLU in a
            Transformer if null.
        macaron_style: a Conformer layer begins and ends with half a feed-forward network, or else ends with a whole.
        use_cnn_module: Conformer layers have a convolution, and the norm at their end.
        cnn_module_kernel: frames of the depth-wise convolution.
        cnn_module_norm: normalisation inside the convolution module.
        causal: no layer looks ahead by convolution; needed for streaming.
        moe: a mixture of experts in place of the second feed-forward network of Conformer layers; null for none.
        static_chunk_size: encoder frames of the chunks that the model is trained and used with unless others are
            asked for; 0 for whole utterances.
        use_dynamic_chunk: train with random chunks (U2).
        use_dynamic_left_chunk: also with random history.
        dropout_rate, positional_dropout_rate, attention_dropout_rate: probabilities.
    """

    type: Literal["conformer", "transformer"] = "conformer"
    output_size: int = 256
    attention_heads: int = 4
    linear_units: int = 2048
    num_blocks: int = 12
    input_layer: SubsamplingType = "conv2d"
    subsampling_channels: int | None = None
    pos_enc_layer_type: Literal["abs_pos", "rel_pos", "rel_pos_true"] = "rel_pos"
    activation_type: ActivationType | None = None
    macaron_style: bool = True
    use_cnn_module: bool = True
    cnn_module_kernel: int = 15
    cnn_module_norm: Literal["batch_norm", "layer_norm"] = "layer_norm"
    causal: bool = True
    moe: MixtureConfig | None = None
    static_chunk_size: int = 0
    use_dynamic_chunk: bool = True
    use_dynamic_left_chunk: bool = False
    dropout_rate: float = 0.1
    positional_dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.1

    def __post_init__(self) -> None:
        check_dropout_rates(self)
        if self.output_size % (2 * self.attention_heads):
            raise ValueError(f"output_size {self.output_size} is not a multiple of twice attention_heads")
        if self.looks_ahead and self.cnn_module_kernel % 2 == 0:
            raise ValueError("cnn_module_kernel must be odd in a model that is not causal")
        if self.use_dynamic_chunk and self.static_chunk_size:
            raise ValueError("use_dynamic_chunk and static_chunk_size exclude each other")
        if self.streams and self.looks_ahead:
            key = "use_dynamic_chunk" if self.use_dynamic_chunk else "static_chunk_size"
            raise ValueError(f"{key} needs causal: true, for a centred convolution looks past its chunk")
        if self.moe and self.type != "conformer":
            raise ValueError("moe needs type: conformer")
        if self.moe and self.moe.layers and max(self.moe.layers) > self.num_blocks:
            raise ValueError(f"moe.layers go to {self.num_blocks}, the last of the encoder")

    @property
    def activation(self) -> ActivationType:
        """`activation_type`, or what stands for null."""
        return self.activation_type or ("swish" if self.type == "conformer" else "relu")

    @property
    def convolves(self) -> bool:
        """Whether layers have a convolution."""
        return self.type == "conformer" and self.use_cnn_module

    @property
    def looks_ahead(self) -> bool:
        """Whether convolutions see frames to come."""
        return self.convolves and not self.causal

    @property
    def streams(self) -> bool:
        """Whether the model is trained in chunks."""
        return self.use_dynamic_chunk or self.static_chunk_size > 0

    @property
    def streaming_chunk_size(self) -> int:
        """Encoder frames of a chunk unless others are asked for: the static size, or 16; 0 if it cannot stream."""
        return (self.static_chunk_size or 16) if self.streams else 0

    @property
    def layers_with_experts(self) -> tuple[int, ...]:
        """Encoder layers, counted from 1, that have a mixture of experts."""
        if self.moe is None:
            return ()
        return self.moe.layers or tuple(range(1, self.num_blocks + 1))
