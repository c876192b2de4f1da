"""Asking PaddleSpeech: clips in, its archive and its answers out."""

import json
import os
import subprocess
import sys
import wave
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.reference.clips import RATE_HZ, Pcm

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 1800

needs_paddlespeech = pytest.mark.skipif(
    find_spec("paddlespeech") is None, reason="needs PaddleSpeech: pip install -e '.[cpu,paddlespeech,dev]'"
)


@dataclass(frozen=True)
class Answers:
    """What PaddleSpeech makes of each clip; texts by the name of the method."""

    archive: Path
    texts: list[dict[str, str]]
    features: list[NDArray[np.float32]]
    log_probs: list[NDArray[np.float32]]


def ask_paddlespeech(network: str, clips: list[Pcm], folder: Path) -> Answers:
    """Have a process make the network's archive under `folder` and recognise the clips with PaddleSpeech."""
    places = [folder / name for name in ("archive", "clips", "answers")]
    for place in places:
        place.mkdir(parents=True)
    for number, clip in enumerate(clips):
        _write_wav(folder / "clips" / f"{number:03}.wav", clip)
    command = [sys.executable, "-W", "ignore", "-m", "tests.reference.answering", network, *map(str, places)]
    done = subprocess.run(
        command, cwd=places[0], env=_environ(folder), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"PaddleSpeech failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    texts = json.loads((folder / "answers" / "answers.json").read_text("utf-8"))
    with np.load(folder / "answers" / "answers.npz") as arrays:
        features, log_probs = ([arrays[f"{name}{i}"] for i in range(len(clips))] for name in ("features", "log_probs"))
    return Answers(places[0], texts, features, log_probs)


def _environ(folder: Path) -> dict[str, Any]:
    """Its files under `folder`; all cores; and MKL's quick path on AMD, which it does not choose by itself."""
    cores = str(os.cpu_count())
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "PPSPEECH_HOME": str(folder / "home"),
        "OMP_NUM_THREADS": cores,
        "MKL_NUM_THREADS": cores,
        "MKL_DEBUG_CPU_TYPE": "5",
    }


def _write_wav(path: Path, clip: Pcm) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(clip.astype("<i2").tobytes())
