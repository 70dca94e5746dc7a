"""Recognition on a CPU in about half the time: weights laid out for oneDNN's kernels, streaming as one graph.

torch leaves a linear layer to MKL, and has a convolution's weights laid out anew at each call. oneDNN's own kernels
over weights that were laid out once are faster, most of all for the few rows of a stream's chunk, and on AMD's
processors. Their operators are private to torch: `torch.compile` puts them into a frozen model.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.cache import EncoderCache
from wenet_lite.model.convolution import ConvolutionModule, DepthwiseConv1d, PointwiseConv1d
from wenet_lite.model.encoder import Encoder
from wenet_lite.model.feed_forward import PositionwiseFeedForward
from wenet_lite.runtime.int8 import has_vnni, quantize
from wenet_lite.runtime.joint_attention import join_attention

_ROWS = 16
"""Rows of an input that the layout is chosen for; it serves others as well."""
_COLLIDING = 1024
"""Rows that are a multiple of so many values apart share the same few lines of a processor's first cache."""
_APART = 64
"""Values that keep them apart."""
_FUSED: dict[type[nn.Module], str] = {nn.ReLU: "relu"}
"""Activations that cost nothing inside a product; oneDNN's swish there is slower than torch's."""


def prepare_for_cpu(model: AsrModel, *, int8: bool = False) -> None:
    """Make a model fast on a CPU, in place: attention joined, packed, and its encoder's streaming as one graph.

    Results agree to rounding. The model is for recognition alone from now on: what is packed has no parameters, and
    cannot be trained, copied, moved to another device or saved. Where torch has no oneDNN nothing is packed.

    Args:
        model: in eval mode, float32, on the CPU.
        int8: quantise it.
    """
    join_attention(model.encoder)
    if int8:
        quantize(model, reduce_range=not has_vnni())
    if torch.backends.mkldnn.is_available():
        pack(model)
    model.encoder.advance = Advance(model.encoder)  # type: ignore[method-assign]


class Advance:
    """An encoder's `advance` as one graph.

    The graph gives back plain tensors: for each named tuple that leaves TorchScript torch makes a class anew, which
    takes as long as a layer does.

    Args:
        encoder: in eval mode.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._graph = torch.jit.script(_PlainAdvance(encoder))

    def __call__(
        self, features: Tensor, lens: Tensor, cache: EncoderCache, next_cache_frames: int
    ) -> tuple[Tensor, Tensor, EncoderCache]:
        """As `Encoder.advance`."""
        out, out_lens, *of_cache = self._graph(features, lens, cache, next_cache_frames)
        return out, out_lens, EncoderCache(*of_cache)


class _PlainAdvance(nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, features: Tensor, lens: Tensor, cache: EncoderCache, next_cache_frames: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        out, out_lens, after = self.encoder.advance(features, lens, cache, next_cache_frames)
        return out, out_lens, after.attention, after.convolution, after.lens, after.offset


def pack(model: nn.Module) -> None:
    """Lay out the weights of all linear layers and convolutions inside a model, in place; batch norms go into them."""
    if isinstance(model, ConvolutionModule) and isinstance(model.norm, nn.BatchNorm1d):
        model.depthwise_conv = fuse_conv_bn_eval(model.depthwise_conv, model.norm)
        model.norm = nn.Identity()  # type: ignore[assignment]
    for name, child in model.named_children():
        packed = _packed(child)
        if packed is None:
            pack(child)
        else:
            setattr(model, name, packed)


@torch.no_grad()
def _packed(module: nn.Module) -> nn.Module | None:
    """The packed form of a module, if it has one of its own; what is int8 is packed already."""
    if isinstance(module, PositionwiseFeedForward):
        return PackedFeedForward(module) if isinstance(module.w_1, nn.Linear) else None
    if isinstance(module, nn.Linear):
        return PackedLinear(module.weight, module.bias)
    if isinstance(module, PointwiseConv1d):
        return PackedLinear(module.weight.squeeze(2), module.bias)
    if isinstance(module, DepthwiseConv1d):
        return PackedDepthwise(module)
    if isinstance(module, nn.Conv2d):
        return PackedConv2d(module)
    return None


class PackedLinear(nn.Module):
    """A linear layer, with an activation or none.

    Args:
        weight: (out, in).
        bias: (out,), or None.
        activation: oneDNN's name of what follows, or "none".
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: str = "none") -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), _ROWS)
        self.bias = bias.detach() if bias is not None else None
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, self.activation, [], "")
        return out


class PackedFeedForward(nn.Module):
    """Two linear layers; hidden values that nothing comes from or goes to keep the rows between them apart.

    Args:
        layers: what is packed.
    """

    def __init__(self, layers: PositionwiseFeedForward) -> None:
        super().__init__()
        idle = 0 if layers.w_1.out_features % _COLLIDING else _APART
        pad = nn.functional.pad
        fused = _FUSED.get(type(layers.activation), "none")
        self.w_1 = PackedLinear(pad(layers.w_1.weight, (0, 0, 0, idle)), pad(layers.w_1.bias, (0, idle)), fused)
        self.activation = layers.activation if fused == "none" else nn.Identity()
        self.w_2 = PackedLinear(pad(layers.w_2.weight, (0, idle)), layers.w_2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) to (..., dim)."""
        out: Tensor = self.w_2(self.activation(self.w_1(x)))
        return out


class PackedConv2d(nn.Module):
    """A convolution over pictures.

    Args:
        layer: what is packed.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.padding, self.stride, self.dilation = list(layer.padding), list(layer.stride), list(layer.dilation)
        self.groups = layer.groups
        self.packed = torch._C._nn.mkldnn_reorder_conv2d_weight(
            layer.weight.detach().to_mkldnn(), self.padding, self.stride, self.dilation, self.groups
        )
        self.bias = layer.bias.detach() if layer.bias is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """As the layer's own."""
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.packed, self.bias, self.padding, self.stride, self.dilation, self.groups, "none", [], ""
        )
        return out


class PackedDepthwise(nn.Module):
    """A depth-wise convolution over time, as one over pictures of one row.

    Args:
        layer: what is packed.
    """

    def __init__(self, layer: DepthwiseConv1d) -> None:
        super().__init__()
        frames, padding = layer.kernel_size[0], int(layer.padding[0])
        rows = nn.Conv2d(len(layer.weight), len(layer.weight), (1, frames), padding=(0, padding), groups=layer.groups)
        rows.weight, rows.bias = nn.Parameter(layer.weight.unsqueeze(2)), layer.bias
        self.rows = PackedConv2d(rows)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, channels) to the same."""
        return self.rows(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)
