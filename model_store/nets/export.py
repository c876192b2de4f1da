"""From a network with weights to a static graph that Paddle Inference runs."""

from pathlib import Path

import paddle
from paddle.static import InputSpec

from model_store.artifacts.graphs import GRAPH_PREFIX
from model_store.nets.models import Network

INPUTS = ("feats", "lengths")


def export_graph(net: Network, n_mels: int, directory: Path) -> None:
    """Write the network as `graph.json` and `graph.pdiparams`; batch and time stay free.

    Inputs are `feats` (B, T, n_mels) float32 and `lengths` (B,) int64; outputs are `net.outputs`, in that order.
    """
    specs = [InputSpec([None, None, n_mels], "float32", INPUTS[0]), InputSpec([None], "int64", INPUTS[1])]
    # One whole graph, or an error: a graph broken into pieces would not be servable.
    static = paddle.jit.to_static(net, input_spec=specs, full_graph=True)
    paddle.jit.save(static, str(directory / GRAPH_PREFIX))
