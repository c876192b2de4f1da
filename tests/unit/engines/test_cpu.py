"""What a processor says of itself."""

import pytest

from model_store.engines.cpu import best_cpu_precision, has_bf16, is_bf16_processor


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx512f avx512_bf16 avx512_vnni", True),
        ("fpu amx_bf16 amx_tile", True),
        ("fpu avx2 avx512f", False),
        ("fpu avx512_bf16x", False),
        ("", False),
    ],
)
def test_has_bf16_looks_for_the_instruction_sets(flags, expected):
    assert has_bf16(f"processor\t: 0\nmodel name\t: avx512_bf16\nflags\t\t: {flags}\nbogomips\t: 1\n") is expected


def test_has_bf16_without_flags_is_false():
    assert not has_bf16("processor\t: 0\nFeatures\t: fp asimd bf16\n")


def test_best_cpu_precision_follows_the_processor():
    assert best_cpu_precision() == ("bf16" if is_bf16_processor() else "fp32")
