"""Writing ONNX files: their metadata, the version that old runtimes read, and int8."""

from __future__ import annotations

import ast
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from wenet_lite.runtime.export.onnx_graphs import OnnxGraph

if TYPE_CHECKING:
    from onnx import NodeProto

_EXPORTED_OPSET = 18
_OPSET, _IR_VERSION = 17, 8
"""Of the files: what onnxruntime 1.13 reads, with which WeNet's C++ runtime is built, and all that came later."""
_SCOPES = "pkg.torch.onnx.name_scopes"
"""Where the exporter notes the modules that a node comes from, from the outermost to the operation itself."""
_GATE = ".gate/"
_LARGEST_CONSTANT = 1 << 30
"""Elements of a weight that is brought into its final shape in the file: what is reshaped later cannot be int8."""


@torch.no_grad()
def write_onnx(graph: OnnxGraph, metadata: Mapping[str, object], path: Path) -> None:
    """Record a module and write it as one file.

    Args:
        graph: module, names and axes.
        metadata: keys and values that readers of the file look for.
        path: the file.
    """
    import onnx
    from onnxscript.optimizer import fold_constants

    with _quiet():
        program = torch.onnx.export(
            graph.module.eval(),
            tuple(graph.inputs.values()),
            dynamo=True,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=tuple(graph.dynamic.get(name) for name in graph.inputs),
            opset_version=_EXPORTED_OPSET,
            verbose=False,
        )
        assert program is not None
        fold_constants(program.model, input_size_limit=_LARGEST_CONSTANT, output_size_limit=_LARGEST_CONSTANT)
    proto = program.model_proto
    for node in proto.graph.node:
        _simplify(node)
    del proto.opset_import[:]
    proto.opset_import.append(onnx.helper.make_opsetid("", _OPSET))
    proto.ir_version = _IR_VERSION
    onnx.helper.set_model_props(proto, {key: str(value) for key, value in metadata.items()})
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, str(path))


def quantize(path: Path) -> Path:
    """Write `*.int8.onnx` beside a file: weights of linear layers in 8 bits, each output with a scale of its own.

    Convolutions stay in float, as do the products of attention, and the gates of experts: a frame that went to another
    expert would be another frame. Weights have 7 of the 8 bits, so that sums do not overflow on processors without
    VNNI.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = path.with_suffix(".int8.onnx")
    graph = onnx.load(path).graph
    axes = {weight.name: len(weight.dims) for weight in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMul"]
    with _quiet():
        quantize_dynamic(
            path,
            target,
            op_types_to_quantize=["MatMul"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=[node.name for node in products if axes.get(node.input[1]) != 2 or _GATE in node.name],
        )
    return target


def _simplify(node: NodeProto) -> None:
    """Name a node by its module, drop what the exporter noted of the source, and what came with opset 18."""
    scopes = {entry.key: entry.value for entry in node.metadata_props}.get(_SCOPES, "[]")
    modules = [scope for scope in ast.literal_eval(scopes)[:-1] if scope]
    node.name = "/".join([*modules[-1:], node.name])
    del node.metadata_props[:]
    node.ClearField("doc_string")
    if node.op_type == "Split":  # its parts are equal without this, too
        kept = [attribute for attribute in node.attribute if attribute.name != "num_outputs"]
        del node.attribute[:]
        node.attribute.extend(kept)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporter and quantiser tell of their own work."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
