"""`python -m drakit.rehearsal`: serve the emulated AWS in the foreground, until Ctrl-C or SIGTERM."""

import argparse
import contextlib
import fcntl
import functools
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from drakit.engine.files import file_errors, private_folder, write_atomically
from drakit.errors import DrakitError, PreflightError
from drakit.rehearsal.faults import BadFault, Fault, parse

LOOPBACK = "127.0.0.1"
ENDPOINT = "endpoint"
"""The file in the folder that says where the server listens; there while it does."""


def main(arguments: list[str] | None = None) -> None:
    """Serve until told to stop."""
    options = _options(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for noisy in ("werkzeug", "botocore", "asyncio", "httpx2", "httpcore2", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    folder = Path(options.folder).absolute() if options.folder else _default_folder(options.port)
    private_folder(folder)
    with _alone(folder):
        _serve(folder, options.port, options.fail)


def _serve(folder: Path, port: int, wanted: list[Fault]) -> None:
    # moto reads it when it is imported: without, AWS's own policies cannot be attached.
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    _read_models_once()
    # Some 400 ms, and the command line is to be checked before.
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    from drakit.rehearsal.eks.nodes import tick
    from drakit.rehearsal.filters import one_of_several_suffices
    from drakit.rehearsal.planes import Planes
    from drakit.rehearsal.protocol import ACCOUNT
    from drakit.rehearsal.server import Application
    from drakit.rehearsal.world import World

    # Else moto looks for each key among the users of every partition, and for that makes IAM of each: 0.6 s.
    os.environ["MOTO_ACCOUNT_ID"] = ACCOUNT
    one_of_several_suffices()
    planes = Planes(folder / "clusters")
    try:
        planes.purge_all()  # of a server that was killed
        world = World("", folder, planes)
        for fault in wanted:
            world.faults.add(fault)
        try:
            server = make_server(LOOPBACK, port, Application(world), threaded=True, request_handler=MotoRequestHandler)
        except (OSError, SystemExit) as error:
            raise PreflightError(f"Port {port} of {LOOPBACK} is taken.", code="no-free-port") from error
        world.url = f"http://{LOOPBACK}:{server.port}"
        os.environ["MOTO_PORT"] = str(server.port)
        planes.run(tick(world))
        write_atomically(folder / ENDPOINT, world.url + "\n")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        sys.stdout.write(f"Serving AWS at {world.url}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
        # A second signal is no reason to leave control planes behind.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    finally:
        (folder / ENDPOINT).unlink(missing_ok=True)
        planes.close()


def _read_models_once() -> None:
    """Let every session of botocore share what it reads: moto opens five, and EC2's model alone takes 0.1 s."""
    from botocore.loaders import JSONFileLoader

    read = JSONFileLoader().load_file
    # A session shares it with all its clients already: nobody changes what they are given.
    JSONFileLoader.load_file = staticmethod(functools.cache(read))


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder: two servers would stop each other's control planes."""
    with file_errors(folder), open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PreflightError(f"Another rehearsal runs in {folder}.", code="rehearsal-running") from None
        yield


def _default_folder(port: int) -> Path:
    from drakit.tools.cache import cache_folder

    return cache_folder() / "rehearsal" / str(port)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m drakit.rehearsal", description="An emulated AWS on loopback.")
    parser.add_argument("--port", type=int, default=4510, help="the port of 127.0.0.1; 0 for any that is free")
    parser.add_argument("--folder", help="where its control planes keep their files; below drakit's cache by default")
    parser.add_argument(
        "--fail", type=_fault, action="append", default=[], metavar="SPEC",
        help="a failure to come, such as eks:CreateNodegroup=ThrottlingException,times=3 (see drakit.rehearsal.faults)",
    )  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="log every call")
    return parser.parse_args(arguments)


def _fault(spec: str) -> Fault:
    try:
        return parse(spec)
    except BadFault as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    try:
        main()
    except DrakitError as error:
        sys.exit("\n".join(filter(None, [error.message, error.hint])))
    except KeyboardInterrupt:
        sys.exit(130)
