"""The ways to compute that this machine has: an engine and a precision."""

from typing import NamedTuple

from model_store.artifacts.graphs import EngineName, can_convert
from model_store.engines.cpu import best_cpu_precision, is_bf16_processor
from model_store.predictors.hypotheses import Precision

_NAMES: dict[EngineName, str] = {"paddle": "Paddle", "openvino": "OpenVINO"}


class Way(NamedTuple):
    """One of them."""

    engine: EngineName
    precision: Precision

    @property
    def shown(self) -> str:
        """As people say it."""
        return f"{_NAMES[self.engine]} {self.precision}"


def ways() -> list[Way]:
    """Those of this machine, the reference first."""
    found = [Way("paddle", "fp32")]
    if is_bf16_processor():
        found.append(Way("paddle", "bf16"))
    if can_convert():
        found.append(Way("openvino", best_cpu_precision()))
    return found


def best_ways(engines: list[str] | None) -> list[Way]:
    """The best precision of each engine, which is the last of its ways."""
    return [way for way in {way.engine: way for way in ways()}.values() if not engines or way.engine in engines]


def lacking() -> str:
    """What this machine does not have, and so is not measured; empty where it has all."""
    told = [] if is_bf16_processor() else ["a processor with bf16"]
    told += [] if can_convert() else ["OpenVINO (the extra `openvino`)"]
    return " and ".join(told)
