"""Becomes a versitygw, an S3 server on a directory: `python -m services.local.s3_server --help`. Replaces its process.

versitygw neither makes its bucket nor tells which port it took. So a second process, which is nobody's child, looks
when it listens, writes the line of JSON that every service writes (`consilo.hosting.start`), and ends. What was started
is versitygw itself: it is ended, killed or frozen by its process id like any service. Linux only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from consilo.hosting.start import announce
from consilo.store.s3_settings import read_credential

PROGRAM: Final = "versitygw"
MISSING: Final = f"{PROGRAM} is not on PATH: it is at https://github.com/versity/versitygw/releases"

_LOOK_EVERY_SECONDS: Final = 0.02
_LISTENING: Final = "0A"


def listening_port(pid: int) -> int | None:
    """The port of IPv4 that a process listens on; None when there is none yet.

    Raises:
        ProcessLookupError: the process has ended.
    """
    inodes = set()
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            socket = re.fullmatch(r"socket:\[(\d+)\]", _target(descriptor))
            if socket is not None:
                inodes.add(socket[1])
        table = Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii")
    except OSError:
        raise ProcessLookupError(f"the process {pid} has ended") from None
    for line in table.splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTENING and fields[9] in inodes:
            return int(fields[1].rpartition(":")[2], 16)
    return None


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:  # closed since it was listed
        return ""


def command(port: int, directory: Path) -> list[str]:
    """The command line of an S3 server on loopback that keeps its buckets in a directory.

    Raises:
        FileNotFoundError: versitygw is not on PATH; the message says where it is.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise FileNotFoundError(MISSING)
    return [program, "--port", f"127.0.0.1:{port}", "--quiet", "posix", str(directory)]


def environment(access_key: str, secret_key: str) -> dict[str, str]:
    """The environment of an S3 server: its root account, and nothing else that could set it up differently."""
    return {"ROOT_ACCESS_KEY_ID": access_key, "ROOT_SECRET_ACCESS_KEY": secret_key, "PATH": os.environ.get("PATH", "")}


def make_bucket(directory: Path, name: str) -> None:
    """To versitygw a directory is a bucket."""
    (directory / name).mkdir(parents=True, exist_ok=True)


def _announce_when_listening(pid: int) -> None:
    try:
        while (port := listening_port(pid)) is None:
            time.sleep(_LOOK_EVERY_SECONDS)
    except ProcessLookupError:
        return
    announce(url=f"http://127.0.0.1:{port}", port=port)


def main(arguments: list[str] | None = None) -> int:
    """Become an S3 server. Returns only when it cannot: exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m services.local.s3_server", description="Become a versitygw.")
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0 takes a free one")
    parser.add_argument("--directory", type=Path, required=True, help="of the buckets; needs extended attributes")
    parser.add_argument("--bucket", required=True, help="is made when it is missing")
    parser.add_argument("--access-key-file", type=Path, required=True, help="file with the access key's id")
    parser.add_argument("--secret-key-file", type=Path, required=True, help="file with the secret access key")
    options = parser.parse_args(arguments)
    try:
        words = command(options.port, options.directory)
    except FileNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    make_bucket(options.directory, options.bucket)
    known = environment(read_credential(options.access_key_file), read_credential(options.secret_key_file))
    pid = os.getpid()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            _announce_when_listening(pid)
        os._exit(0)
    os.waitpid(child, 0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # standard output is for the one line
    os.execve(words[0], words, known)  # noqa: S606 - a fixed argument list, no shell


if __name__ == "__main__":
    sys.exit(main())
