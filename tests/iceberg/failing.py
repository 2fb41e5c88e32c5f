"""A catalog and a storage that fail at a chosen call, before or after it took effect, once or for good."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyiceberg.catalog import Catalog


@dataclass
class Script:
    """What fails."""

    at: int = -1
    """The number of the call; -1: none."""
    after: bool = False
    """Whether it takes effect."""
    for_good: bool = False
    """Whether every later call fails too, as after kill -9: nothing is tidied up then."""
    calls: list[str] = field(default_factory=list)
    error: Callable[[], Exception] = lambda: OSError(5, "the network is gone")
    on_call: Callable[[str], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def last(self, name: str) -> int:
        """Return the number of the last call of this name."""
        return len(self.calls) - 1 - self.calls[::-1].index(name)

    def run(self, name: str, call: Callable[[], Any]) -> Any:
        """Make a call, or fail."""
        with self._lock:  # pyiceberg has threads
            number = len(self.calls)
            self.calls.append(name)
        if self.on_call is not None:
            self.on_call(name)
        fails = number == self.at or (self.for_good and 0 <= self.at < number)
        if fails and not (self.after and number == self.at):
            raise self.error()
        found = call()
        if fails:
            raise self.error()
        return found


class FailingIO(PyArrowFileIO):
    """pyiceberg's own, by the script."""

    script: ClassVar[Script] = Script()

    def new_input(self, location: str) -> PyArrowFile:
        return _failing(super().new_input(location))

    def new_output(self, location: str) -> PyArrowFile:
        return _failing(super().new_output(location))

    def delete(self, location: Any) -> None:
        FailingIO.script.run("delete", lambda: super(FailingIO, self).delete(location))


def _failing(file: PyArrowFile) -> PyArrowFile:
    create, open_ = file.create, file.open
    file.create = lambda overwrite=False: _Stream(  # type: ignore[method-assign]
        FailingIO.script.run("create", lambda: create(overwrite=overwrite))
    )
    file.open = lambda seekable=True: FailingIO.script.run("open", lambda: open_(seekable=seekable))  # type: ignore[method-assign]
    return file


class _Stream:
    """An object appears when its stream is closed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            FailingIO.script.run("close", self._stream.close)

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def failing(catalog: Catalog, script: Script) -> Catalog:
    """Let a catalog, whose storage is :class:`FailingIO`, do as the script says."""
    FailingIO.script = script
    for name in ("load_table", "create_table_transaction", "commit_table"):
        real = getattr(catalog, name)

        def call(*args: Any, _real: Any = real, _name: str = name, **kwargs: Any) -> Any:
            return script.run(_name, lambda: _real(*args, **kwargs))

        setattr(catalog, name, call)
    return catalog
