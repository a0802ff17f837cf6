"""Where a ledger is read from: a gateway, or an embedded ledger's file. Network or file I/O.

Both are read as they are: nothing is checked here but that blocks and records can be read at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

from consilo.api.errors import AnswerInvalid
from consilo.api.models import Head
from consilo.api.party import Party
from consilo.cli.exits import USAGE, CliError
from consilo.cli.session import Session
from consilo.embedded.blocks import decode_genesis
from consilo.embedded.file import LedgerFile
from consilo.protocol.canonical import digest
from consilo.protocol.queries import Records
from consilo.verification.kinds import Kind, kind_of

_PAGE: Final = 100


class LedgerSource(Protocol):
    """What can be shown of a ledger."""

    @property
    def kind(self) -> str:
        """`embedded` or `fabric`."""
        ...

    def head(self) -> Head:
        """The last block."""
        ...

    def blocks(self, start: int) -> Iterator[bytes]:
        """Bytes of the blocks from a height on."""
        ...

    def records(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Key and canonical bytes of the records whose keys start with a prefix, in key order."""
        ...


@contextmanager
def open_source(session: Session, file: Path | None) -> Iterator[LedgerSource]:
    """The file, or without one the session's gateway."""
    if file is None:
        yield _GatewaySource(session)
        return
    with LedgerFile(file) as opened:
        yield _FileSource(opened)


class _FileSource:
    kind = "embedded"

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def head(self) -> Head:
        ledger, height, body = "", -1, b""
        for height, body in enumerate(self._file.blocks()):
            if height == 0:
                ledger = decode_genesis(body).ledger
        return Head(ledger=ledger, height=height, hash=digest(body))

    def blocks(self, start: int) -> Iterator[bytes]:
        return islice(self._file.blocks(), start, None)

    def records(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        yield from sorted((key, value) for key, value, _ in self._file.state_rows() if key.startswith(prefix))


class _GatewaySource:
    """Each page is a connection of its own: simple, and for people fast enough."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def kind(self) -> str:
        return self._kind.name

    @cached_property
    def _kind(self) -> Kind:
        async def read(party: Party) -> str:
            return (await party.patience("read the ledger", party.gateway.info)).kind

        return kind_of(self._session.call(read))

    def head(self) -> Head:
        async def read(party: Party) -> Head:
            return (await party.patience("read the ledger", party.gateway.head)).head

        return self._session.call(read)

    def blocks(self, start: int) -> Iterator[bytes]:
        while True:
            height = start

            async def read(party: Party, height: int = height) -> list[bytes]:
                return await party.patience("read the ledger", lambda: party.gateway.blocks(height, _PAGE))

            page = self._session.call(read)
            if not page:
                return
            yield from (self._block(line) for line in page)
            start += len(page)

    def _block(self, line: bytes) -> bytes:
        try:
            return self._kind.block_of_line(line)
        except ValueError as error:
            raise AnswerInvalid(f"the gateway gives something else than a block: {error}") from None

    def records(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        if not prefix.endswith("/"):
            raise CliError("prefix-malformed", f"the start of keys ends in a slash, unlike {prefix}", exit_code=USAGE)
        after: str | None = ""
        while after is not None:
            cursor = after

            async def read(party: Party, cursor: str = cursor) -> Records:
                return await party.patience("read the ledger", lambda: party.gateway.records(prefix, after=cursor))

            page = self._session.call(read)
            for record in page.records:
                yield record.key, record.record.encode()
            after = page.after
