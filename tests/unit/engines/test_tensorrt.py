"""TensorRT within Paddle, which this machine lacks: what is asked of Paddle, what is refused, how runs are cut."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from model_store.artifacts.graphs import DECODER, ENCODER, MAX_CLIPS, MAX_FRAMES
from model_store.engines import tensorrt
from model_store.engines.tensorrt import TensorRtEngine, convert, require
from model_store.errors import ImportFailed, PredictFailed


class Library:
    """Stands in for `paddle.tensorrt.export`; writes what that writes, or less."""

    PrecisionMode = SimpleNamespace(FP32="FP32", FP16="FP16")
    Input = staticmethod(lambda **told: SimpleNamespace(**told))
    TensorRTConfig = staticmethod(lambda **told: SimpleNamespace(**told))

    def __init__(self, *, engines: int = 1, error: Exception | None = None) -> None:
        self.engines = engines
        self.error = error
        self.asked: list[tuple[str, Any]] = []

    def convert(self, model: str, config: Any) -> None:
        self.asked.append((model, config))
        if self.error:
            raise self.error
        folder = Path(config.save_model_dir)
        folder.mkdir()
        folder.with_suffix(".json").touch()
        folder.with_suffix(".pdiparams").touch()
        for number in range(self.engines):
            (folder / f"engine_1_{number}.trt").touch()
            (folder / f"engine_1_{number}.pir").touch()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    it = Library()
    monkeypatch.setattr(tensorrt, "_library", lambda: it)
    return it


def shape(n_clips: int, n_frames: int = 32) -> dict[str, Any]:
    feats = np.arange(n_clips, dtype=np.float32)[:, None, None] * np.ones((1, n_frames, 80), np.float32)
    return {"feats": feats, "lengths": np.full(n_clips, n_frames)}


def test_convert_asks_for_engines_of_all_shapes_in_that_precision(library: Library, tmp_path: Path) -> None:
    shapes = [shape(1), shape(4), shape(8)]
    convert(Path("/graphs"), ENCODER, shapes, tmp_path, "fp16")
    ((model, config),) = library.asked
    assert model == "/graphs/encoder"
    assert (config.precision_mode, config.save_model_dir) == ("FP16", str(tmp_path / "encoder"))
    assert [one.name for one in config.inputs] == ["feats", "lengths"]
    assert [one.shape for one in config.inputs[0].warmup_data] == [(1, 32, 80), (4, 32, 80), (8, 32, 80)]
    assert [len(one) for one in config.inputs[1].warmup_data] == [1, 4, 8]


def test_convert_leaves_graph_weights_and_engines_and_no_dumps(library: Library, tmp_path: Path) -> None:
    convert(Path("/graphs"), ENCODER, [shape(1)], tmp_path, "fp32")
    assert library.asked[0][1].precision_mode == "FP32"
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"encoder.json", "encoder.pdiparams", "encoder/engine_1_0.trt"}


def test_convert_of_a_graph_of_which_it_took_nothing_is_refused(library: Library, tmp_path: Path) -> None:
    library.engines = 0
    with pytest.raises(ImportFailed, match="took nothing of the encoder"):
        convert(Path("/graphs"), ENCODER, [shape(1)], tmp_path, "fp16")


def test_convert_that_breaks_is_refused_with_the_reason(library: Library, tmp_path: Path) -> None:
    library.error = NotImplementedError("Converter for pd_op.top_k not implemented.")
    with pytest.raises(ImportFailed, match=r"cannot take the encoder: NotImplementedError: .* pd_op\.top_k"):
        convert(Path("/graphs"), ENCODER, [shape(1)], tmp_path, "fp16")


def test_require_on_this_machine_says_that_paddle_is_built_for_cpus() -> None:
    import paddle

    if paddle.is_compiled_with_cuda():
        pytest.skip("this Paddle is built for GPUs")
    with pytest.raises(ImportFailed, match=r"built for CPUs\. Install the extra `gpu`"):
        require()


@pytest.fixture
def gpu_build(monkeypatch: pytest.MonkeyPatch, library: Library) -> SimpleNamespace:
    """A Paddle for GPUs, where all is well."""
    cuda = SimpleNamespace(device_count=lambda: 1)
    paddle = SimpleNamespace(is_compiled_with_cuda=lambda: True, device=SimpleNamespace(cuda=cuda))
    monkeypatch.setitem(sys.modules, "paddle", paddle)
    inference = SimpleNamespace(get_trt_runtime_version=lambda: (10, 5, 0))
    monkeypatch.setattr(tensorrt, "_inference", lambda: inference)
    return SimpleNamespace(cuda=cuda, inference=inference)


@pytest.mark.usefixtures("gpu_build")
def test_require_gives_the_version_where_all_is_there() -> None:
    assert require() == "10.5.0"


def test_require_without_a_gpu_says_where_to_look(gpu_build: SimpleNamespace) -> None:
    gpu_build.cuda.device_count = lambda: 0
    with pytest.raises(ImportFailed, match="sees no such GPU"):
        require()


def test_require_without_tensorrt_in_paddle_says_so(gpu_build: SimpleNamespace) -> None:
    gpu_build.inference.get_trt_runtime_version = lambda: (0, 0, 0)
    with pytest.raises(ImportFailed, match="has no TensorRT"):
        require()


@pytest.mark.usefixtures("gpu_build")
def test_require_without_the_package_that_converts_says_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'tensorrt'")

    monkeypatch.setattr(tensorrt, "_library", missing)
    with pytest.raises(ImportFailed, match=r"pip install tensorrt==10\.5\.\*"):
        require()


class Engine:
    """Stands in for Paddle's, and answers with the first number of each clip."""

    def __init__(self, *_: Any, **how: Any) -> None:
        self.how = how
        self.sizes: list[int] = []

    def run(self, inputs: dict[str, Any], wanted: list[str]) -> dict[str, Any]:
        self.sizes.append(len(inputs["lengths"]))
        assert len(inputs["feats"]) == len(inputs["lengths"])
        return dict.fromkeys(wanted, inputs["feats"][:, 0, 0])


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    engines: list[Engine] = []

    def make(*told: Any, **how: Any) -> Engine:
        engines.append(Engine(*told, **how))
        return engines[-1]

    monkeypatch.setattr(tensorrt, "PaddleEngine", make)
    return engines


@pytest.mark.parametrize(("n_clips", "sizes"), [(1, [1]), (8, [8]), (9, [8, 1]), (24, [8, 8, 8])])
def test_run_of_more_clips_than_an_engine_takes_is_cut_and_put_together(
    made: list[Engine], n_clips: int, sizes: list[int]
) -> None:
    engine = TensorRtEngine(Path("/graphs"), ENCODER, ["log_probs"])
    found = engine.run(shape(n_clips), ["log_probs"])["log_probs"]
    assert made[0].sizes == sizes
    assert max(sizes) <= MAX_CLIPS
    assert found.tolist() == list(range(n_clips))


def test_run_of_a_longer_clip_than_an_engine_takes_says_what_to_set(made: list[Engine]) -> None:
    engine = TensorRtEngine(Path("/graphs"), ENCODER, ["log_probs"])
    engine.run(shape(1, MAX_FRAMES), ["log_probs"])
    with pytest.raises(PredictFailed, match=r"audio\.max_segment_s"):
        engine.run(shape(1, MAX_FRAMES + 1), ["log_probs"])
    assert made[0].sizes == [1]


def test_engine_of_a_decoder_is_paddles_as_precise_as_is_said(made: list[Engine]) -> None:
    TensorRtEngine(Path("/graphs"), DECODER, [], precision="fp16", device="gpu:1")
    TensorRtEngine(Path("/graphs"), ENCODER, [], precision="fp16", device="gpu:1")
    assert [one.how["precision"] for one in made] == ["fp16", "fp32"]
    assert [one.how["device"] for one in made] == ["gpu:1", "gpu:1"]
