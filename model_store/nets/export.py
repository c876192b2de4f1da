"""From a network with weights to the static graphs that Paddle Inference runs."""

from pathlib import Path

import paddle

from model_store.nets.models import Network


def export_graphs(net: Network, directory: Path) -> dict[str, tuple[str, ...]]:
    """Write each part of the network as `<graph>.json` and `<graph>.pdiparams`; returns the outputs of each graph.

    Batch, time and lengths stay free. The network is folded (`Encoder.fold`), so it has other weights afterwards.
    """
    net.encoder.fold()
    parts = net.parts()
    for name, part in parts.items():
        part.eval()
        # One whole graph, or an error: a graph broken into pieces would not be servable.
        static = paddle.jit.to_static(part, input_spec=list(part.inputs), full_graph=True)
        paddle.jit.save(static, str(directory / name))
    return {name: part.outputs for name, part in parts.items()}
