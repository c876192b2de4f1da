"""`make demo`: a gateway on a free port, the bundled samples through the `openai` client, a table of what came back.

Ends with status 1 when a text is wrong, and leaves no process behind.
"""

import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass

import httpx
import msgspec
import psutil
from openai import AsyncOpenAI
from rich.console import Console
from rich.table import Column, Table

from model_store.starter.install import Sample, bundled_samples

_START_TIMEOUT_S = 300.0  # the first start imports the bundled models
_STAGES = ("decode", "language", "load", "queue", "features", "encoder", "search", "rescoring", "total")


@dataclass(frozen=True)
class Heard:
    """What the gateway made of a sample."""

    sample: Sample
    text: str
    language: str
    confidence: float
    domain: str
    version: str
    stages_ms: dict[str, float]
    is_cold: bool
    devices: list[str]
    is_degraded: bool

    @property
    def is_right(self) -> bool:
        """Whether language and text are those that were spoken, and the model is one of their domain."""
        sample = self.sample
        return (self.language, self.domain, self.text) == (sample.language, sample.domain, sample.text)

    @property
    def mark(self) -> str:
        """Whether it waited for a load, and where it was computed."""
        where = ", ".join(self.devices)
        return f"{'cold' if self.is_cold else 'warm'} {where}{' degraded' if self.is_degraded else ''}"


async def demo(console: Console) -> bool:
    """Start, ask, show, stop; whether every text was right and nothing was left behind."""
    began_s = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        gateway = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "serve", "--port", "0"), stderr=errors
        )
        try:
            url = await _listening(gateway, errors.fileno())
            console.print(f"The gateway is up at {url} after {time.monotonic() - began_s:.1f} s.")
            client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none needed yet")
            heard = [await _ask(client, sample) for sample in bundled_samples()]
            family = psutil.Process(gateway.pid).children(recursive=True)
        finally:
            gateway.terminate()
            await gateway.wait()
    console.print(_table(heard))
    left = [process.pid for process in psutil.wait_procs(family, timeout=3.0)[1]]
    wrong = [one for one in heard if not one.is_right]
    console.print(f"{len(heard) - len(wrong)} of {len(heard)} right; processes left behind: {len(left)}.")
    return not wrong and not left


async def _listening(gateway: asyncio.subprocess.Process, errors: int) -> str:
    """The gateway's address, once it is ready; raises RuntimeError with what it said when it ended instead."""
    async with asyncio.timeout(_START_TIMEOUT_S), httpx.AsyncClient() as http:
        while gateway.returncode is None:
            url = _announced(errors)
            if url and (await http.get(f"{url}/readyz")).is_success:
                return url
            await asyncio.sleep(0.1)
    raise RuntimeError(f"The gateway ended:\n{_log(errors)}")


def _announced(errors: int) -> str | None:
    for line in _log(errors).splitlines():
        if '"server.listening"' in line:
            return str(msgspec.json.decode(line)["url"])
    return None


def _log(errors: int) -> str:
    with open(errors, "rb", closefd=False) as file:
        file.seek(0)
        return file.read().decode(errors="replace")


async def _ask(client: AsyncOpenAI, sample: Sample) -> Heard:
    # The language is heard; the domain is what the caller knows.
    said = {"domain": sample.domain}
    answer = await client.audio.transcriptions.create(model="auto", file=sample.path, extra_body=said)
    ours = answer.model_extra["voxgate"] if answer.model_extra else {}
    return Heard(
        sample=sample,
        text=answer.text,
        language=ours["language"],
        confidence=ours["language_confidence"],
        domain=ours["domain"],
        version=f"{ours['model']} {ours['version'][:8]}",
        stages_ms=ours["stages_ms"],
        is_cold=ours["is_cold"],
        devices=ours["devices"],
        is_degraded=ours["is_degraded"],
    )


def _table(heard: list[Heard]) -> Table:
    columns = [Column("file"), Column("language, domain"), Column("version"), Column("text", overflow="fold")]
    columns += [Column("expected", overflow="fold"), *(Column(stage, justify="right") for stage in _STAGES), Column("")]
    table = Table(*columns, caption="milliseconds per stage; load: the model had to be brought in first")
    for one in heard:
        stages = [f"{one.stages_ms[stage]:.0f}" if stage in one.stages_ms else "" for stage in _STAGES]
        style = "red" if not one.is_right else "yellow" if one.is_degraded else None
        heard_as = f"{one.language} {one.confidence:.2f}, {one.domain}"
        table.add_row(one.sample.file, heard_as, one.version, one.text, one.sample.text, *stages, one.mark, style=style)
    return table


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(demo(Console(width=max(Console().width, 170)))) else 1)
