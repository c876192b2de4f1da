"""How the view looks in terminals of several widths."""

import io

import msgspec
import pytest
from rich.console import Console

from admin import terminal
from model_store.residency.view import ResidencyView


def printed(view: ResidencyView, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(terminal.tables(view))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_tables_show_every_part_of_the_view(view):
    shown = printed(view)
    for told in (
        *("cpu 2 cores", "1,000", "580", "zh-[general]", "5f2c9a1e77aa", "zh/general", "300 of 320", "310 expected"),
        *(
            "2.1 h",
            "12 s ago",
            "1.2 s",
            "openvino bf16",
            "demand",
            "yue-general",
            "normal",
            "open",
            "no such tensor",
            "left alone (7 times)",
        ),
    ):
        assert told in shown, told


def test_tables_of_nothing_still_say_what_devices_there_are_and_that_nothing_is_resident(view):
    shown = printed(msgspec.structs.replace(view, residents=[], waiting=[], breakers=[], decisions=[]))
    assert "cpu" in shown
    assert "Residents" in shown
    assert "Waiting" not in shown
    assert "Failed" not in shown
    assert "Decisions" not in shown


def test_tables_of_a_lost_gpu_show_it_who_stands_in_and_why(view):
    change = msgspec.structs.replace
    gpu = change(view.devices[0], id="gpu:0", kind="gpu", name="a GPU", is_lost=True, headroom_bytes=512 * 2**20)
    stand_in = change(view.residents[0], is_degraded=True, is_warm=False)
    moved = change(view.decisions[0], what="evict", device="gpu:0", reason="lost", detail="its device answers no more")
    shown = printed(change(view, devices=[gpu, *view.devices], residents=[stand_in], decisions=[moved]))
    for told in (
        "gpu:0 lost a GPU",
        "headroom",
        "512",
        "256",
        "stands in",
        "not warm",
        "beef gpu:0",
        "its device answers no more",
    ):
        assert told in shown, told
    usual = printed(view)
    assert "lost" not in usual
    assert "stands in" not in usual
    assert "not warm" not in usual


@pytest.mark.parametrize("width", [80, 100, 200])
def test_tables_lose_no_figure_in_a_narrow_terminal(view, width):
    shown = printed(view, width)
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.2, "0 s"), (59, "59 s"), (60, "1.0 min"), (5_400, "1.5 h"), (172_800, "2.0 d")]
)
def test_span_is_told_in_the_unit_that_fits(seconds, told):
    assert terminal.span(seconds) == told


@pytest.mark.parametrize(("size", "told"), [(0, "0"), (2**20, "1"), (1_500 * 2**20, "1,500"), (-(2**20), "-1")])
def test_mib_are_whole_with_thousands_set_apart(size, told):
    assert terminal.mib(size) == told
