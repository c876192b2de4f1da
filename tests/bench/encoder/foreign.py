"""The same graph on engines that we do not serve with: ONNX Runtime, and sherpa-onnx, which also hears and searches."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from model_store.artifacts.graphs import can_convert
from model_store.engines.seam import Array
from model_store.nets.models import CtcEncoder
from tests.bench.encoder.work import Turn

_SAMPLES_PER_FRAME, _LAST_WINDOW = 160, 400
_WENET = "wenet.onnx"


def installed() -> list[str]:
    """Those that are here; the first comes with the extra `openvino`, the other with nothing of ours."""
    return [name for name in MAKERS if find_spec(name) and can_convert()]


def onnxruntime(onnx: Path, threads: int) -> Turn:
    """The encoder, in fp32: ONNX Runtime has no bf16 on processors."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = [name for name, ours in zip(names, CtcEncoder.outputs, strict=True) if ours != "log_probs"]
    return lambda feats, lengths: session.run(wanted, {"feats": feats, "lengths": lengths})


def sherpa_onnx(onnx: Path, threads: int) -> Turn:
    """Filter bank, encoder and greedy search, of noise as long as the frames; it has no entrance for these."""
    import sherpa_onnx as sherpa

    tokens = onnx.with_name("tokens.txt")
    recogniser: Any = sherpa.OfflineRecognizer.from_wenet_ctc(
        str(onnx.with_name(_WENET)), str(tokens), num_threads=threads
    )

    def run(feats: Array, lengths: Array) -> object:
        streams = [recogniser.create_stream() for _ in lengths]
        for stream, n_frames in zip(streams, lengths.tolist(), strict=True):
            n_samples = (n_frames - 1) * _SAMPLES_PER_FRAME + _LAST_WINDOW
            stream.accept_waveform(16_000, np.resize(feats, n_samples) * np.float32(0.1))
        recogniser.decode_streams(streams)
        return [stream.result.text for stream in streams]

    return run


def as_wenet(onnx: Path, units: int) -> None:
    """Beside `onnx`, what sherpa-onnx takes for an export of WeNet's: scores and their lengths first, and metadata."""
    import onnx as onnx_format

    model = onnx_format.load(str(onnx))
    named = dict(zip(CtcEncoder.outputs, model.graph.output, strict=True))
    kept = [named["log_probs"], named["encoded_frames"]]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    for key, value in {"model_type": "wenet_ctc", "vocab_size": units, "subsampling_factor": 4}.items():
        model.metadata_props.add(key=key, value=str(value))
    onnx_format.save(model, str(onnx.with_name(_WENET)))
    onnx.with_name("tokens.txt").write_text("".join(f"{'<blk>' if n == 0 else f'u{n}'} {n}\n" for n in range(units)))


MAKERS: dict[str, Callable[[Path, int], Turn]] = {"onnxruntime": onnxruntime, "sherpa_onnx": sherpa_onnx}
