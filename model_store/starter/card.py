"""The README of a bundled model: what it is, what it was made of, and how well it did."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path

from model_store.starter.corpus import SEED, SNR_DB
from model_store.starter.speech import FROZEN_VARIANTS, HELDOUT_VARIANTS, TRAINING_VARIANTS
from model_store.starter.training import Plan

WIDTH = 118
DATA = (
    f"Training used {len(TRAINING_VARIANTS)} espeak-ng voice variants at many speeds and pitches; "
    f"{', '.join(HELDOUT_VARIANTS)} were kept for the held-out set, and {', '.join(FROZEN_VARIANTS)} for the frozen "
    "test sets, which have sentence patterns of their own too: training has their words, and none of their sentences. "
    f"Three clips in four have noise or babble at {SNR_DB[0]:.0f}-{SNR_DB[1]:.0f} dB SNR, one in five went over a "
    "G.711 telephone line, one in four through Opus; training applied SpecAugment with mel warping, gain and tilt."
)
NAMES = {
    "zh": "Mandarin",
    "zh-finance": "Mandarin, finance",
    "zh-medical": "Mandarin, medicine",
    "yue": "Cantonese",
    "en": "English",
    "lid": "language",
}


@dataclass(frozen=True)
class Facts:
    """What a card says; every number comes from the run that made the model."""

    name: str
    kind: str
    n_weights: int
    data: str
    plan: Plan
    base: str | None
    minutes: float
    results: tuple[str, ...]
    note: str


def minutes_of(log: Path) -> float:
    """Add up the time that the epochs of a training log took."""
    rows = log.read_text(encoding="utf-8").splitlines()
    return sum(float(json.loads(row)["seconds"]) for row in rows) / 60


def note_of(folder: Path) -> str:
    """Read what was written down about a training that did not go by its plan; empty where it did."""
    note = folder / "note.txt"
    return note.read_text(encoding="utf-8").strip() if note.exists() else ""


def card(facts: Facts) -> str:
    """Write the card in Markdown."""
    results = "\n".join(f"- {line}" for line in facts.results)
    return f"""# Starter model: {NAMES[facts.name]} ({facts.name})

{_paragraph(f"{facts.kind}, {facts.n_weights:,} weights stored as 16-bit floats, in WeNet's layout.")}

It exists so that a fresh installation answers, and so that tests and demonstrations have a real model to run. It has
heard only the synthetic voices of espeak-ng and only the sentence patterns in `model_store/starter/texts`.
**Do not expect it to understand people**; bring a real model for that.

## Data

{_paragraph(f"{facts.data} {DATA}")}

## Training

{_paragraph(_training(facts))}{_note(facts)}

## Results of these very weights

{results}

## Rebuilding

    apt install espeak-ng
    pip install -e '.[train]'
    python -m model_store.starter {facts.name} --work /tmp/starter-work

A rebuild follows the same steps with the same seeds. It gives a model of the same kind, not the same bytes: sums are
not taken in the same order on every CPU, and espeak-ng's voices change between its versions.
"""


def _training(facts: Facts) -> str:
    plan = facts.plan
    text = (
        f"{plan.epochs} epochs, batches of {plan.batch_size}, AdamW with a peak rate of {plan.peak_rate:g}, the mean "
        f"of the last {plan.averaged} epochs' weights{_restart(plan)}; corpus seed {SEED}, training seed {plan.seed}; "
        f"{facts.minutes:.0f} minutes on a shared two-core CPU."
    )
    if facts.name == "lid":
        return text
    if facts.base is not None:
        return f"Fine-tuned from `{facts.base}`: {text}"
    gently = "the first epoch" if plan.gentle_epochs == 1 else f"the first {plan.gentle_epochs:.0f} epochs, ever less"
    return text + (
        f" In {gently}, the units were also taught from a flat alignment (`flatstart.py`), without which CTC is slow "
        "to begin to learn."
    )


def _restart(plan: Plan) -> str:
    if plan.restart is None:
        return ""
    epochs, rate = plan.restart
    return f", the rate falling once more, from {rate:g}, after {epochs} epochs"


def _note(facts: Facts) -> str:
    return f"\n\n{_paragraph(facts.note)}" if facts.note else ""


def _paragraph(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
