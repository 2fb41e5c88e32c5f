"""Real S3 servers on loopback, as pytest fixtures. They start when first asked for, once per test process.

``moto_server`` runs in this environment. ``ministack_server`` lives in one of its own (it pins its botocore): the one
that ``KORE_TEST_MINISTACK`` names (a Python interpreter), else ``.cache/ministack``, made from its lock at first use.
``localbucket_server``, ``rclone_server`` and ``s3rver_server`` lack much of S3 each, and are made at first use alike;
the last takes a Node.js, installed from Debian where there is none. All end with the test process, even a killed one.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parents[1]
REGION = "eu-central-1"
ROOT_KEY = ("kore-root", "kore-root-secret")

# a daemon thread waits for the end of standard input, which comes when whoever started us is gone
_WATCH = """
import os, sys, threading
def watch():
    sys.stdin.buffer.read()
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
"""
_MOTO = _WATCH + "from moto.server import main\nmain(['-H', '127.0.0.1', '-p', {port!r}])\n"
_MINISTACK = _WATCH + "import sys\nsys.argv = ['ministack']\nfrom ministack.app import main\nmain()\n"


# ends with whoever started it, whatever program it becomes
_WITH_US = "import ctypes, os, sys\nctypes.CDLL(None).prctl(1, 9)\nos.execv(sys.argv[1], sys.argv[1:])\n"


@dataclass(frozen=True)
class S3Server:
    """A server that answers, and a key that may do everything with S3 there."""

    name: str
    url: str
    access_key: str
    secret_key: str

    def client(self, *, key: tuple[str, str] | None = None, retries: int = 0, token: str | None = None) -> Any:
        """Return a boto3 client of its own; ``retries`` after the first attempt, ``token`` of a session."""
        return _client("s3", self.url, key or (self.access_key, self.secret_key), retries, token)

    def user(self, *actions: str) -> tuple[str, str]:
        """Return the key of a new user who may do only this, on servers that check."""
        return _user(self.url, _allow(*actions))

    def user_under(self, *statements: Mapping[str, Any]) -> tuple[str, str]:
        """Return the key of a new user under a policy of these statements, on servers that check."""
        return _user(self.url, *statements)

    def bucket(self) -> str:
        """Return a new, empty bucket."""
        name = f"kore-{uuid.uuid4().hex}"
        self.client().create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name


def _client(service: str, url: str, key: tuple[str, str], retries: int, token: str | None = None) -> Any:
    config = Config(
        s3={"addressing_style": "path"},
        retries={"mode": "standard", "total_max_attempts": retries + 1},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=20,
        proxies={},
    )
    return _session(key, token).client(service, endpoint_url=url, config=config)


@cache
def _session(key: tuple[str, str], token: str | None) -> Any:
    """Return a session of our own: the default one reads the developer's profile, and each costs 0.2 s."""
    return boto3.Session(
        aws_access_key_id=key[0], aws_secret_access_key=key[1], aws_session_token=token, region_name=REGION
    )


def _allow(*actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*"}


def _user(url: str, *statements: Mapping[str, Any]) -> tuple[str, str]:
    iam = _client("iam", url, ROOT_KEY, 2)
    name = f"user-{uuid.uuid4().hex}"
    iam.create_user(UserName=name)
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    iam.put_user_policy(UserName=name, PolicyName="only-this", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


@contextmanager
def _running(
    name: str, command: Callable[[int], list[str]], environment: Callable[[int], dict[str, str]], folder: Path
) -> Iterator[str]:
    """Start a server on a free port and hand out its URL; another port if somebody took that one meanwhile."""
    for attempt in range(5):
        port = _free_port()
        log = folder / f"{name}-{attempt}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(port),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_clean_environment(folder) | environment(port),
                cwd=folder,
            )
        url = f"http://127.0.0.1:{port}"
        try:
            if not _answers(process, url):
                continue
            yield url
            return
        finally:
            process.kill()  # nothing of it is wanted, and a polite end takes two seconds
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
    pytest.fail(f"{name} did not start:\n{log.read_text(errors='replace')[-3000:]}", pytrace=False)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _clean_environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_", "PYTEST_"))}
    return kept | {"TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    client = _client("s3", url, ROOT_KEY, 0)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.list_buckets()
        except ClientError:
            return True
        except BotoCoreError:
            time.sleep(0.03)
        else:
            return True
    return False


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """moto, which checks no credentials."""
    folder = tmp_path_factory.mktemp("moto")
    with _running("moto", _moto_command, lambda _: {"S3_UPLOAD_PART_MIN_SIZE": "1024"}, folder) as url:
        yield S3Server("moto", url, *ROOT_KEY)


@pytest.fixture(scope="session")
def moto_auth_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A moto of its own that checks signatures and policies."""
    with _running("moto-auth", _moto_command, lambda _: {}, tmp_path_factory.mktemp("moto-auth")) as url:
        keys = {"all": _user(url, _allow("s3:*", "iam:*"))}
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{url}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}, method="POST"
        )
        made = [_user(url, _allow(action)) for action in ("s3:GetObject", "s3:PutObject", "s3:ListBucket")]
        keys |= dict(zip(("s3:GetObject", "s3:PutObject", "s3:ListBucket"), made, strict=True))
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
        yield _MotoAuth("moto", url, *keys["all"], users=keys)


@dataclass(frozen=True)
class _MotoAuth(S3Server):
    """Makes no users once it checks: they were made before."""

    users: dict[str, tuple[str, str]]

    def user(self, *actions: str) -> tuple[str, str]:
        (action,) = actions
        return self.users[action]


@pytest.fixture(scope="session")
def ministack_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """ministack, which checks signatures, policies and checksums."""
    python = _ministack_python()

    def environment(port: int) -> dict[str, str]:
        return {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "SERVICES": "s3,iam,sts",
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": ROOT_KEY[0],
            "AWS_SECRET_ACCESS_KEY": ROOT_KEY[1],
        }

    folder = tmp_path_factory.mktemp("ministack")
    with _running("ministack", lambda _: [python, "-c", _MINISTACK], environment, folder) as url:
        # the root key's signature is not checked there, a user's is
        yield S3Server("ministack", url, *_user(url, _allow("s3:*")))


def _moto_command(port: int) -> list[str]:
    return [sys.executable, "-c", _MOTO.format(port=str(port))]


def _ministack_python() -> str:
    """Return the interpreter of an environment that has ministack; made if need be, by one process at a time."""
    return os.environ.get("KORE_TEST_MINISTACK") or str(_environment("ministack") / "python")


def _environment(name: str) -> Path:
    """Return the folder of programs of an environment of this lock; made if need be, by one process at a time."""
    folder = ROOT / ".cache" / name
    with _alone(name):
        command = [sys.executable, "tools/environment.py", f".cache/{name}", name, "--without-project"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{name} could not be installed:\n{done.stderr[-3000:]}", pytrace=False)
    return folder / "bin"


@contextmanager
def _alone(name: str) -> Iterator[None]:
    (ROOT / ".cache").mkdir(exist_ok=True)
    with (ROOT / ".cache" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _with_us(*command: str | Path) -> list[str]:
    return [sys.executable, "-c", _WITH_US, *map(str, command)]


@pytest.fixture(scope="session")
def localbucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """localbucket: no batch delete, metadata, checksums, nor conditions but If-None-Match."""
    program, folder = _environment("localbucket") / "localbucket", tmp_path_factory.mktemp("localbucket")
    with _running("localbucket", lambda port: _with_us(program, "--port", str(port), folder), _nothing, folder) as url:
        yield S3Server("localbucket", url, *ROOT_KEY)


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """``rclone serve s3``: checks signatures, ignores conditions, keeps no checksums."""
    program, folder = _environment("rclone") / "rclone", tmp_path_factory.mktemp("rclone")
    (folder / "data").mkdir()

    def command(port: int) -> list[str]:
        key = ",".join(ROOT_KEY)
        options = [
            "--addr",
            f"127.0.0.1:{port}",
            "--auth-key",
            key,
            "--config",
            "",
            "--cache-dir",
            str(folder / "cache"),
        ]
        return _with_us(program, "serve", "s3", *options, folder / "data")

    with _running("rclone", command, _nothing, folder) as url:
        yield S3Server("rclone", url, *ROOT_KEY)


@pytest.fixture(scope="session")
def s3rver_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """s3rver: ignores conditions, keeps no checksums, lists no uploads."""
    node, script = _s3rver()
    folder = tmp_path_factory.mktemp("s3rver")

    def command(port: int) -> list[str]:
        options = ["-a", "127.0.0.1", "-p", str(port), "--no-vhost-buckets", "-s"]
        return _with_us(node, script, "-d", folder / "data", *options)

    (folder / "data").mkdir()
    with _running("s3rver", command, _nothing, folder) as url:
        yield S3Server("s3rver", url, "S3RVER", "S3RVER")


def _nothing(_: int) -> dict[str, str]:
    return {}


def _s3rver() -> tuple[str, Path]:
    """Return Node.js, and s3rver's program; installed from its lock if need be."""
    if str(ROOT / "tests" / "system") not in sys.path:
        sys.path.insert(0, str(ROOT / "tests" / "system"))
    from debian_packages import require

    programs = require({"node": "nodejs", "npm": "npm"})
    folder, sources = ROOT / ".cache" / "npm", ROOT / "requirements" / "npm"
    with _alone("npm"):
        folder.mkdir(exist_ok=True)
        stamp, lock = folder / ".made-from", (sources / "package-lock.json").read_text()
        if not stamp.exists() or stamp.read_text() != lock:
            for name in ("package.json", "package-lock.json"):
                (folder / name).write_text((sources / name).read_text())
            command = [programs["npm"], "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.fail(f"s3rver could not be installed:\n{done.stderr[-3000:]}", pytrace=False)
            stamp.write_text(lock)
    return programs["node"], folder / "node_modules" / "s3rver" / "bin" / "s3rver.js"


@pytest.fixture
def moto_bucket(moto_server: S3Server) -> str:
    """A new, empty bucket in moto."""
    return moto_server.bucket()


@pytest.fixture
def ministack_bucket(ministack_server: S3Server) -> str:
    """A new, empty bucket in ministack."""
    return ministack_server.bucket()


@pytest.fixture(params=["moto", "ministack"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """Each server in turn; starts only the one it is."""
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> str:
    """A new, empty bucket in each server in turn."""
    return s3_server.bucket()
