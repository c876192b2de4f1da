"""What is Paddle's alone; what it shares with the other engine is in tests/contract/test_engines.py."""

import pytest

from model_store.artifacts.graphs import ENCODER, read_record
from model_store.engines.paddle import PaddleEngine
from model_store.errors import LoadFailed


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"device": "gpu:0", "precision": "bf16"}, "bf16"),
        ({"device": "gpu:0", "precision": "fp16"}, "built for CPUs|no gpu:0"),
        ({"device": "tpu"}, "Unknown device 'tpu'"),
    ],
)
def test_load_on_a_device_that_cannot_raises_load_failed(golden, how, told):
    import paddle

    if paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() and "no gpu" in told:
        pytest.skip("there is a GPU")
    with pytest.raises(LoadFailed, match=told):
        PaddleEngine(golden.graph_dir, ENCODER, read_record(golden.graph_dir).graphs[ENCODER], **how)
