"""A Job's way to its silo when there is none, or when what answers is not one."""

from __future__ import annotations

import asyncio
import socket

import pytest

from consilo.training.job_channel import Channel, SiloRefuses, SiloUnreachable


async def test_a_silo_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        channel = Channel(
            f"http://127.0.0.1:{closed.getsockname()[1]}/v1/jobs/job", "secret-token", timeout_seconds=1.0
        )
        with pytest.raises(SiloUnreachable) as failure:
            await asyncio.to_thread(channel.order)
    assert "secret-token" not in str(failure.value)


async def test_a_silo_that_says_nothing_is_unreachable() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        channel = Channel(f"http://127.0.0.1:{silent.getsockname()[1]}/x", "token", timeout_seconds=0.2)
        with pytest.raises(SiloUnreachable, match="timed out"):
            await asyncio.to_thread(channel.order)


@pytest.mark.parametrize(
    "answer",
    [
        b"not http\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{",
        b"HTTP/1.1 302 Found\r\nlocation: /x\r\n\r\n",
    ],
    ids=["no-http", "cut", "redirect"],
)
async def test_an_answer_that_is_none_is_told(answer: bytes) -> None:
    def serve(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(answer)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        channel = Channel(f"http://127.0.0.1:{listener.getsockname()[1]}/x", "token", timeout_seconds=2.0)
        _, found = await asyncio.gather(
            asyncio.to_thread(serve, listener), asyncio.to_thread(channel.order), return_exceptions=True
        )
    assert isinstance(found, SiloUnreachable | SiloRefuses)


@pytest.mark.parametrize("url", ["https://h/x", "ftp://h/x", "http:///x", "http://u@h/x", "http://h/x?y", "x"])
def test_a_url_that_leads_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http://HOST:PORT/PATH"):
        Channel(url, "token", timeout_seconds=1.0)
