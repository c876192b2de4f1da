"""State dicts out of pickles, without running what the pickles ask for.

A pickle names the functions that rebuild its objects, and an ordinary reader imports and calls whatever is named. Here
a short table says what may be named; each entry stands for a function of ours, and every other name is refused.
"""

import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from model_store.errors import ImportFailed

Array = npt.NDArray[Any]
Known = Mapping[tuple[str, str], Any]

# Values may be shared (tied weights), but a small file must not unfold into many gigabytes.
_MAX_GROWTH = 4


class Stream(Protocol):
    """What a pickle is read from."""

    def read(self, size: int = ..., /) -> bytes: ...
    def readline(self) -> bytes: ...


class Budget:
    """How many bytes the values of a file may come to."""

    def __init__(self, path: Path) -> None:
        """Some times the size of the file at `path`."""
        self._name = path.name
        self._left_bytes = _MAX_GROWTH * path.stat().st_size

    def spend(self, n_bytes: int) -> None:
        """Raise ImportFailed when that was more than is left."""
        self._left_bytes -= n_bytes
        if self._left_bytes < 0:
            raise ImportFailed(f"{self._name}: its tensors unfold to far more bytes than the file has.")


class StateDictUnpickler(pickle.Unpickler):
    """Builds what the functions in `known` make, dictionaries, and nothing else."""

    def __init__(self, stream: Stream, file_name: str, known: Known) -> None:
        """`known` maps the module and the name of a global to what is called instead."""
        super().__init__(stream)
        self._file_name = file_name
        self._known = {("collections", "OrderedDict"): OrderedDict, **known}

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a global; raises ImportFailed naming one that is not known."""
        if (module, name) not in self._known:
            raise ImportFailed(
                f"{self._file_name}: its pickle asks for {module}.{name}, which a checkpoint never needs."
            )
        return self._known[module, name]


@contextmanager
def refusing_what_fails(path: Path) -> Iterator[None]:
    """A pickle of unknown origin can fail in any way there is: each becomes an ImportFailed that names the file."""
    try:
        yield
    except ImportFailed:
        raise
    except OSError as exc:
        raise ImportFailed(f"{path.name} cannot be read: {exc.strerror or exc}.") from exc
    except Exception as exc:
        raise ImportFailed(f"{path.name} cannot be read as a state dict: {type(exc).__name__}: {exc}.") from exc


def checked_state_dict(loaded: Any, path: Path) -> dict[str, Array]:
    """`loaded` when it maps names to arrays and to nothing else; raises ImportFailed naming the entry that is wrong."""
    if not isinstance(loaded, dict) or not loaded:
        raise ImportFailed(f"{path.name} holds a {type(loaded).__name__}, not a state dict.")
    for name, tensor in loaded.items():
        if not isinstance(name, str) or not isinstance(tensor, np.ndarray):
            raise ImportFailed(f"{path.name}: entry {name!r} is a {type(tensor).__name__}, not a tensor.")
    return dict(loaded)
