"""What a processor says of itself."""

import os

import pytest

from model_store.engines.cpu import best_cpu_precision, has_bf16, is_bf16_processor, threads_for


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


def test_threads_for_a_small_graph_are_one_and_for_a_large_one_those_that_this_process_may_run_on():
    allowed = os.sched_getaffinity(0)
    assert threads_for(8_000_000) == 1
    assert threads_for(300_000_000) == len(allowed)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert threads_for(300_000_000) == 1
    finally:
        os.sched_setaffinity(0, allowed)
