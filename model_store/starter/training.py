"""The training loop of every starter model: a fixed number of epochs, repeatable, resumed where it was cut off."""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

# On a machine that is busy with other things one thread, by OMP_NUM_THREADS, is faster: two wait for each other.
THREADS = 2
CLIP_NORM = 5.0
WEIGHT_DECAY = 1e-3
FINAL_RATE_SHARE = 0.01


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    The task is made easier at first, over `gentle_epochs` ever less, and short items come first for `sorted_epochs`.
    The result is the mean of the weights after the last `averaged` epochs. `restart`: after so many epochs the rate
    begins to fall once more, from that peak (Loshchilov and Hutter 2017, arXiv 1608.03983).
    """

    epochs: int
    batch_size: int
    peak_rate: float = 1.5e-3
    warmup_epochs: float = 1.5
    gentle_epochs: float = 4.0
    sorted_epochs: int = 1
    averaged: int = 3
    seed: int = 20261122
    restart: tuple[int, float] | None = None


class Task(Protocol):
    """What is trained, on what, and how it is judged."""

    network: nn.Module

    def groups(self, size: int, rng: random.Random, is_sorted: bool) -> list[list[int]]:
        """Give the batches of one epoch, as item numbers, in random order or the short ones first."""

    def loss(self, items: Sequence[int], ease: float, rng: random.Random) -> Tensor:
        """Run the network on a batch, made easier by `ease` (1 to 0), and say how wrong it is."""

    def error_rate(self) -> float:
        """Judge the network on what it was not trained on; 0 is perfect."""


def fit(task: Task, plan: Plan, folder: Path) -> None:
    """Train `task.network` and leave the averaged weights in it; checkpoints and `log.jsonl` go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", THREADS)))
    optimizer = torch.optim.AdamW(task.network.parameters(), lr=0.0, weight_decay=WEIGHT_DECAY, fused=True)
    for epoch in range(_resume(folder, task.network, optimizer), plan.epochs):
        started = time.monotonic()
        loss = _epoch(task, plan, epoch, optimizer)
        _keep(folder, epoch, task.network, optimizer, plan)
        row = {"epoch": epoch + 1, "loss": round(loss, 4), "error_rate": round(task.error_rate(), 4)}
        _log(folder, row | {"seconds": round(time.monotonic() - started, 1)})
    last = range(plan.epochs - plan.averaged, plan.epochs)
    task.network.load_state_dict(mean_weights([_weights_file(folder, epoch) for epoch in last]))


def _epoch(task: Task, plan: Plan, epoch: int, optimizer: torch.optim.Optimizer) -> float:
    # Seeded by epoch, so that a resumed training goes on as the uninterrupted one would have.
    rng = random.Random(f"{plan.seed}-{epoch}")
    torch.manual_seed(plan.seed + epoch)
    task.network.train()
    groups = task.groups(plan.batch_size, rng, is_sorted=epoch < plan.sorted_epochs)
    total = 0.0
    for step, items in enumerate(groups):
        for parameters in optimizer.param_groups:
            parameters["lr"] = learning_rate(plan, epoch + step / len(groups))
        optimizer.zero_grad()
        loss = task.loss(items, ease(plan, epoch), rng)
        loss.backward()
        nn.utils.clip_grad_norm_(task.network.parameters(), CLIP_NORM)
        optimizer.step()
        total += loss.item()
    return total / len(groups)


def ease(plan: Plan, epoch: int) -> float:
    """Fall in a line from 1 in the first epoch to 0 after the gentle ones; 0 at once where there are none."""
    return max(0.0, 1.0 - epoch / plan.gentle_epochs) if plan.gentle_epochs else 0.0


def learning_rate(plan: Plan, epochs_done: float) -> float:
    """Rise in a line to the peak, then fall along half a cosine to almost nothing; see `Plan.restart`."""
    if epochs_done < plan.warmup_epochs:
        return plan.peak_rate * (epochs_done + 0.01) / (plan.warmup_epochs + 0.01)
    restart, again_rate = plan.restart or (plan.epochs, 0.0)
    if epochs_done < restart:
        begun, ended, peak_rate = plan.warmup_epochs, restart, plan.peak_rate
    else:
        begun, ended, peak_rate = restart, plan.epochs, again_rate
    share = (epochs_done - begun) / (ended - begun)
    return peak_rate * (FINAL_RATE_SHARE + (1 - FINAL_RATE_SHARE) * (1 + math.cos(math.pi * share)) / 2)


def mean_weights(files: Sequence[Path]) -> dict[str, Tensor]:
    """Average checkpoints tensor by tensor."""
    states = [torch.load(file, weights_only=True) for file in files]
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


def _weights_file(folder: Path, epoch: int) -> Path:
    return folder / f"epoch{epoch + 1:02d}.pt"


def _keep(folder: Path, epoch: int, network: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan) -> None:
    torch.save(network.state_dict(), _weights_file(folder, epoch))
    _weights_file(folder, epoch - plan.averaged).unlink(missing_ok=True)
    partial = folder / "resume.partial"
    torch.save({"epoch": epoch + 1, "network": network.state_dict(), "optimizer": optimizer.state_dict()}, partial)
    # Renamed last: a training that is killed while it saves still has the checkpoint before.
    partial.rename(folder / "resume.pt")


def _resume(folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load the last checkpoint where there is one, and say how many epochs are done."""
    if not (folder / "resume.pt").exists():
        return 0
    saved = torch.load(folder / "resume.pt", weights_only=True)
    network.load_state_dict(saved["network"])
    optimizer.load_state_dict(saved["optimizer"])
    return int(saved["epoch"])


def _log(folder: Path, row: dict[str, float]) -> None:
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(row) + "\n")
