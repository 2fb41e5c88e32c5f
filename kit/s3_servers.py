"""Real S3 servers on loopback, each for a ``with`` block. All end with this process, even with a killed one.

``moto`` runs in this environment. ``ministack`` lives in one of its own (it pins its botocore): the one that
``KORE_TEST_MINISTACK`` names (a Python interpreter), else ``.cache/ministack``, made from its lock at first use.
``localbucket``, ``rclone`` and ``s3rver`` lack much of S3 each, and are made at first use alike.
"""

from __future__ import annotations

import fcntl
import json
import os
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
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from processes import ENDS_WITH_US, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parents[1]
REGION = "eu-central-1"
ROOT_KEY = ("kore-root", "kore-root-secret")

_MOTO = ENDS_WITH_US + "from moto.server import main\nmain(['-H', '127.0.0.1', '-p', {port!r}])\n"
_MINISTACK = ENDS_WITH_US + "import sys\nsys.argv = ['ministack']\nfrom ministack.app import main\nmain()\n"


# ends with the process that started it, whatever program it becomes
_WITH_US = "import ctypes, os, sys\nctypes.CDLL(None).prctl(1, 9)\nos.execv(sys.argv[1], sys.argv[1:])\n"


class ServerError(Exception):
    """A server could not be installed, or did not start; the message says why."""


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

    def connection(self, key: tuple[str, str] | None = None, **extra: Any) -> dict[str, Any]:
        """Return the Airflow connection that leads here; ``extra`` on top of endpoint and region."""
        login, password = key or (self.access_key, self.secret_key)
        return {
            "conn_type": "aws",
            "login": login,
            "password": password,
            "extra": {"endpoint_url": self.url, "region_name": REGION, **extra},
        }

    def user(self, *actions: str) -> tuple[str, str]:
        """Return the key of a new user who may do only this, on servers that check."""
        return _user(self.url, _allow(*actions))

    def user_under(self, *statements: Mapping[str, Any]) -> tuple[str, str]:
        """Return the key of a new user under a policy of these statements, on servers that check."""
        return _user(self.url, *statements)

    def bucket(self, name: str = "") -> str:
        """Return a new, empty bucket."""
        name = name or f"kore-{uuid.uuid4().hex}"
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
    """Start a server on a free port and hand out its URL; another port if that one was taken meanwhile."""
    for attempt in range(5):
        port = free_port()
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
    raise ServerError(f"{name} did not start:\n{log.read_text(errors='replace')[-3000:]}")


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


@contextmanager
def moto(folder: Path) -> Iterator[S3Server]:
    """moto, which checks no credentials; parts of an upload may be small."""
    with _running("moto", _moto_command, lambda _: {"S3_UPLOAD_PART_MIN_SIZE": "1024"}, folder) as url:
        yield S3Server("moto", url, *ROOT_KEY)


@contextmanager
def moto_that_checks(folder: Path) -> Iterator[S3Server]:
    """Run a moto that checks signatures and policies."""
    with _running("moto-auth", _moto_command, _nothing, folder) as url:
        keys = {"all": _user(url, _allow("s3:*", "iam:*"))}
        request = urllib.request.Request(
            f"{url}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}, method="POST"
        )
        made = [_user(url, _allow(action)) for action in ("s3:GetObject", "s3:PutObject", "s3:ListBucket")]
        keys |= dict(zip(("s3:GetObject", "s3:PutObject", "s3:ListBucket"), made, strict=True))
        urllib.request.urlopen(request, timeout=10).close()
        yield _MotoThatChecks("moto", url, *keys["all"], users=keys)


@dataclass(frozen=True)
class _MotoThatChecks(S3Server):
    """Makes no users once it checks: they were made before."""

    users: dict[str, tuple[str, str]]

    def user(self, *actions: str) -> tuple[str, str]:
        (action,) = actions
        return self.users[action]


@contextmanager
def ministack(folder: Path) -> Iterator[S3Server]:
    """ministack, which checks signatures, policies and checksums."""
    python = os.environ.get("KORE_TEST_MINISTACK") or str(environment_of("ministack") / "python")

    def environment(port: int) -> dict[str, str]:
        return {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "SERVICES": "s3,iam,sts",
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": ROOT_KEY[0],
            "AWS_SECRET_ACCESS_KEY": ROOT_KEY[1],
        }

    with _running("ministack", lambda _: [python, "-c", _MINISTACK], environment, folder) as url:
        # the root key's signature is not checked there, a user's is
        yield S3Server("ministack", url, *_user(url, _allow("s3:*")))


@contextmanager
def localbucket(folder: Path) -> Iterator[S3Server]:
    """localbucket: no batch delete, metadata, checksums, nor conditions but If-None-Match."""
    program = environment_of("localbucket") / "localbucket"
    with _running("localbucket", lambda port: _with_us(program, "--port", str(port), folder), _nothing, folder) as url:
        yield S3Server("localbucket", url, *ROOT_KEY)


@contextmanager
def rclone(folder: Path) -> Iterator[S3Server]:
    """``rclone serve s3``: checks signatures, ignores conditions, keeps no checksums."""
    program = environment_of("rclone") / "rclone"
    (folder / "data").mkdir()

    def command(port: int) -> list[str]:
        options = ("--addr", f"127.0.0.1:{port}", "--auth-key", ",".join(ROOT_KEY), "--config", "")
        return _with_us(program, "serve", "s3", *options, "--cache-dir", folder / "cache", folder / "data")

    with _running("rclone", command, _nothing, folder) as url:
        yield S3Server("rclone", url, *ROOT_KEY)


@contextmanager
def s3rver(folder: Path, *, node: str, npm: str) -> Iterator[S3Server]:
    """s3rver: ignores conditions, keeps no checksums, lists no uploads.

    :param node: path of Node.js.
    :param npm: path of its package manager.
    """
    script = _s3rver(npm)
    (folder / "data").mkdir()

    def command(port: int) -> list[str]:
        options = ("-a", "127.0.0.1", "-p", str(port), "--no-vhost-buckets", "-s")
        return _with_us(node, script, "-d", folder / "data", *options)

    with _running("s3rver", command, _nothing, folder) as url:
        yield S3Server("s3rver", url, "S3RVER", "S3RVER")


def _nothing(_: int) -> dict[str, str]:
    return {}


def _moto_command(port: int) -> list[str]:
    return [sys.executable, "-c", _MOTO.format(port=str(port))]


def _with_us(*command: str | Path) -> list[str]:
    return [sys.executable, "-c", _WITH_US, *map(str, command)]


def environment_of(name: str) -> Path:
    """Return the folder of programs of an environment of this lock; made if need be, by one process at a time."""
    with _alone(name):
        command = [sys.executable, "tools/environment.py", f".cache/{name}", name, "--without-project"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"{name} could not be installed:\n{done.stderr[-3000:]}")
    return ROOT / ".cache" / name / "bin"


def _s3rver(npm: str) -> Path:
    """Return s3rver's program; installed from its lock if need be."""
    folder, sources = ROOT / ".cache" / "npm", ROOT / "requirements" / "npm"
    with _alone("npm"):
        folder.mkdir(exist_ok=True)
        stamp, lock = folder / ".made-from", (sources / "package-lock.json").read_text()
        if not stamp.exists() or stamp.read_text() != lock:
            for name in ("package.json", "package-lock.json"):
                (folder / name).write_text((sources / name).read_text())
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ServerError(f"s3rver could not be installed:\n{done.stderr[-3000:]}")
            stamp.write_text(lock)
    return folder / "node_modules" / "s3rver" / "bin" / "s3rver.js"


@contextmanager
def _alone(name: str) -> Iterator[None]:
    (ROOT / ".cache").mkdir(exist_ok=True)
    with (ROOT / ".cache" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
