"""The steps of data preparation as an ONNX graph: pictures of any size to the size of a dataset.

No ONNX operator resizes as Pillow does (`data_prep.pictures.resize_pixels`). Its resizing is linear
along each axis, so the graph computes Pillow's weights from the size of the pictures, multiplies
with them along rows and then along columns, and rounds to whole values after each step. Pillow
begins with the columns if it shrinks these far more than rows, so values can then differ by 1.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from data_prep.manifest import DatasetManifest

OPSET = 18
PICTURES, FITTED = "pictures", "fitted"
"""Names of the graph's input and output."""
_LUMA = (19595, 38470, 7471)
"""Weights of red, green and blue in gray, in 65536ths, as in `data_prep.pictures.to_gray`."""

_STEPS = float(1 << 22)
"""Pillow rounds weights to multiples of 1 / ``_STEPS``; sums of such numbers are exact."""


@dataclass(kw_only=True)
class _Graph:
    """Collects the nodes of a graph; each call adds one and returns the name of its output."""

    nodes: list[NodeProto] = field(default_factory=list)

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        # A prefix, because the names of the network must not occur again.
        name = f"fit/{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: object, kind: type = np.float64) -> str:
        return self("Constant", value=numpy_helper.from_array(np.array(value, kind)))


def fitting_graph(manifest: DatasetManifest) -> ModelProto:
    """Return the graph that fits pictures to a dataset, as `data_prep.pictures.fit_pixels` does.

    Its input ``pictures`` is (n, height, width, 3) uint8, all of one size; its output ``fitted`` is
    (n, channels, rows, columns) float32 with the values 0 to 255.
    """
    graph, (rows, columns) = _Graph(), manifest.image_shape
    planes = graph("Transpose", PICTURES, perm=[0, 3, 1, 2])
    planes = graph("Cast", planes, to=TensorProto.INT32)
    if manifest.channels == 1:
        parts = graph("Mul", planes, graph.constant(np.reshape(_LUMA, (1, 3, 1, 1)), np.int32))
        total = graph("ReduceSum", parts, graph.constant([1], np.int64))
        rounded = graph("Add", total, graph.constant(0x8000, np.int32))
        planes = graph("Div", rounded, graph.constant(1 << 16, np.int32))
    values = graph("Cast", planes, to=TensorProto.DOUBLE)
    sides = graph("Cast", graph("Shape", values, start=2), to=TensorProto.DOUBLE)
    scales = graph("Div", sides, graph.constant([rows, columns]))
    if manifest.fit == "stretch":
        used = sides
    else:
        bound = "ReduceMin" if manifest.fit == "crop" else "ReduceMax"
        scaled = graph("Mul", graph(bound, scales), graph.constant([rows, columns]))
        used = graph("Max", graph("Round", scaled), graph.constant(1.0))
    least = graph("ReduceMin", graph("Div", used, graph.constant([rows, columns])), keepdims=0)
    shrinks = graph("GreaterOrEqual", least, graph.constant(1.0))
    down, across = (
        _weights(graph, _at(graph, sides, axis), _at(graph, used, axis), size, shrinks)
        for axis, size in enumerate((rows, columns))
    )
    values = _rounded(graph, graph("MatMul", values, graph("Transpose", across, perm=[1, 0])))
    values = _rounded(graph, graph("MatMul", down, values))
    graph.nodes.append(helper.make_node("Cast", [values], [FITTED], to=TensorProto.FLOAT))
    shape: list[str | int | None] = ["n", manifest.channels, rows, columns]
    info = helper.make_tensor_value_info
    made = helper.make_graph(
        graph.nodes,
        "fit",
        [info(PICTURES, TensorProto.UINT8, ["n", "height", "width", 3])],
        [info(FITTED, TensorProto.FLOAT, shape)],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)])


def _weights(graph: _Graph, count: str, used: str, size: int, shrinks: str) -> str:
    """Add Pillow's weights along one axis, a (size, count) matrix; its rows add up to 1.

    Args:
        graph: The graph.
        count: Pixels of the pictures.
        used: Pixels that are resized, which is fewer after a crop and more after padding.
        size: Pixels of the result.
        shrinks: Whether no axis is enlarged: the weights are then a box, else a triangle.
    """
    half, one, zero = (graph.constant(value) for value in (0.5, 1.0, 0.0))
    scale = graph("Div", used, graph.constant(size))
    centres = graph("Mul", graph.constant(np.arange(size)[:, None] + 0.5), scale)
    # In Pillow's order, because rounding errors decide about pixels at the edge of a box.
    places, reach = graph("Range", zero, used, one), graph("Mul", graph("Max", scale, one), half)
    first, end = (
        graph("Floor", graph("Add", graph(side, centres, reach), half)) for side in ("Sub", "Add")
    )
    apart = graph("Add", graph("Sub", places, centres), half)
    apart = graph("Mul", apart, graph("Div", one, graph("Max", scale, one)))
    near = graph("And", graph("GreaterOrEqual", places, first), graph("Less", places, end))
    within = graph("LessOrEqual", graph("Abs", apart), half)
    box = graph("Cast", graph("And", near, within), to=TensorProto.DOUBLE)
    triangle = graph("Max", graph("Sub", one, graph("Abs", apart)), zero)
    weights = graph("Where", shrinks, box, triangle)
    total = graph("ReduceSum", weights, graph.constant([1], np.int64))
    shares = graph("Mul", weights, graph("Div", one, total))
    scaled = graph("Mul", shares, graph.constant(_STEPS))
    weights = graph("Div", _rounded(graph, scaled), graph.constant(_STEPS))
    added = graph("Sub", used, count)
    # Rounds towards zero, as data preparation does for a crop and for padding.
    before = graph("Cast", graph("Div", added, graph.constant(2.0)), to=TensorProto.INT64)
    after = graph(
        "Sub", graph("Cast", graph("Neg", added), to=TensorProto.INT64), graph("Neg", before)
    )
    # The weights of added pixels, which are black, are removed; pixels cut off get weights of 0.
    pads = [
        graph("Reshape", each, graph.constant([1], np.int64))
        for each in (graph("Neg", before), after)
    ]
    none = graph.constant([0], np.int64)
    return graph("Pad", weights, graph("Concat", none, pads[0], none, pads[1], axis=0))


def _at(graph: _Graph, values: str, axis: int) -> str:
    return graph("Gather", values, graph.constant(axis, np.int64))


def _rounded(graph: _Graph, values: str) -> str:
    return graph("Floor", graph("Add", values, graph.constant(0.5)))
