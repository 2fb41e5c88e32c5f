"""The server as a process sees it: start, stop, TLS, forks, another process, the command, the fixture."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import airflow_provider_kore
from airflow_provider_kore.simulator import FAULTS, Simulator
from airflow_provider_kore.simulator.__main__ import main

pytestmark = pytest.mark.slow

ROOT = Path(airflow_provider_kore.__file__).parents[1]
COMMAND = [sys.executable, "-m", "airflow_provider_kore.simulator"]


def python(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


# --- Start and stop --------------------------------------------------------------------------------------------------


def test_it_answers_until_it_is_stopped_and_tells_what_it_served_afterwards(caller_of):
    with Simulator() as kore:
        caller = caller_of(kore)
        assert caller.page("cl-none").status_code == 404
    with pytest.raises(requests.ConnectionError):
        caller.page("cl-none")
    assert kore.report()["requests"] == 1
    kore.stop()


def test_before_it_starts_it_has_no_url():
    with pytest.raises(RuntimeError, match="not started"):
        _ = Simulator().url


def test_a_taken_port_is_told_at_once(kore):
    port = int(kore.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        Simulator(port=port).start()


def test_stopping_ends_requests_that_are_still_waiting(caller_of):
    with Simulator(latency=60.0) as kore:
        failures = []

        def ask():
            try:
                caller_of(kore).page("cl-1")
            except requests.RequestException as err:
                failures.append(err)

        asking = threading.Thread(target=ask)
        asking.start()
        while not kore.requests:
            pass
    asking.join(60)
    assert len(failures) == 1


def test_many_threads_are_served_at_once_and_counted_exactly(kore, call, caller_of):
    def ask():
        caller = caller_of(kore)
        for skip in range(0, 120, 10):
            assert caller.page(skip=skip, limit=10).status_code == 200

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kore.report()["statuses"] == {"200": 96}
    assert len({record.number for record in kore.requests}) == 96


def test_a_forked_child_can_call_and_its_end_does_not_stop_the_server(kore, call, caller_of):
    def child():
        with kore:  # leaving the block in the child must not stop the parent's server
            assert caller_of(kore).page().status_code == 200
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert call.page().status_code == 200
    assert len(kore.page_requests) == 2


@pytest.mark.parametrize("fault", ["truncated_body", "reset_before_headers", "reset_after_headers"])
def test_a_broken_connection_ends_even_while_a_forked_child_holds_it(kore, call, fault):
    with call.session:
        assert call.page().status_code == 200  # the connection is open when the child inherits it
        gate, wait = socket.socketpair()
        pid = os.fork()
        if not pid:
            gate.close()
            wait.recv(1)
            os._exit(0)
        try:
            with (
                kore.fault(fault),
                pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)) as broken,
            ):
                call.page(timeout=30)
            assert not isinstance(broken.value, requests.Timeout)
        finally:
            gate.close()
            wait.close()
            os.waitpid(pid, 0)


def test_it_answers_as_a_proxy_for_any_host(kore, call, caller_of):
    caller = caller_of(kore, {**kore.connection, "host": "http://kore.invalid"})
    caller.session.proxies = {"http": kore.url}
    assert caller.page().json()["data"]["totalResults"] == 120


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.mark.parametrize("fault", [None, "truncated_body", "reset_after_headers", "slow_body"])
def test_it_speaks_https_and_misbehaves_there_too(certificate, caller_of, fault):
    certfile, keyfile = certificate
    with Simulator(certfile=certfile, keyfile=keyfile) as kore:
        kore.add_list("cl-1", contacts=3)
        assert kore.url.startswith("https://127.0.0.1:")
        connection = {**kore.connection, "host": kore.url.replace("127.0.0.1", "localhost")}
        caller = caller_of(kore, connection)
        with pytest.raises(requests.exceptions.SSLError):
            caller.page()
        caller.session.verify = certfile
        assert caller.page().status_code == 200
        if fault in {"truncated_body", "reset_after_headers"}:
            with kore.fault(fault), pytest.raises(requests.RequestException):
                caller.page(timeout=30)
        elif fault:
            with kore.fault(fault):
                assert caller.page().status_code == 200


# --- Imports ---------------------------------------------------------------------------------------------------------


def test_the_plugin_costs_nothing_until_the_fixture_is_used():
    code = (
        "import sys, pytest; before = set(sys.modules); import airflow_provider_kore.simulator.pytest_plugin; "
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('airflow_provider_kore')))"
    )
    assert python(code) == "[]"


def test_it_shares_no_code_with_the_client_and_knows_no_airflow():
    code = (
        "import sys, airflow_provider_kore.simulator.__main__; "
        "print(sorted(n for n in sys.modules if n.partition('.')[0] in ('airflow', 'boto3', 'requests') or "
        "n.startswith('airflow_provider_kore.') and not n.startswith('airflow_provider_kore.simulator')))"
    )
    assert python(code) == "[]"


# --- Another process -------------------------------------------------------------------------------------------------


def control(kore, method, path, expected=200, **body):
    response = requests.request(method, f"{kore.url}/_simulator/{path}", json=body, timeout=30)
    assert response.status_code == expected
    return response.json()


def test_another_process_fills_spoils_and_reads_it_over_http(kore, call):
    control(kore, "POST", "lists", 201, list_id="cl-2", contacts=3, name="Two", columns={"x": 1}, source="passiveApi")
    control(kore, "POST", "lists", 201, list_id="cl-3", contacts=[{"_id": "cc-1"}, '{"_id": "cc-2"}'])
    control(kore, "POST", "lists/cl-2/append", n=2)
    control(kore, "POST", "lists/cl-2/insert", n=1)
    assert control(kore, "POST", "lists/cl-2/remove", index=0, n=2) == {"result": 2}
    control(kore, "POST", "lists/cl-2/update", index=0, firstName="Zoë")
    assert control(kore, "GET", "lists/cl-2/ids") == list(kore.contact_ids("cl-2"))
    assert next(kore.contacts("cl-2"))["firstName"] == "Zoë"
    assert control(kore, "GET", "lists/cl-3/ids") == ["cc-1", "cc-2"]
    control(kore, "DELETE", "lists/cl-3")
    control(kore, "POST", "campaigns", 201, campaign_id="cd-1", type="sms", results=3)
    control(kore, "POST", "campaigns/cd-1/status", status="Stopped")
    number = control(kore, "POST", "faults", 201, name="server_error", times=1)["number"]
    assert call.page("cl-2").status_code == 500
    assert control(kore, "GET", "faults") == [{"number": number, "name": "server_error", "fired": 1}]
    control(kore, "DELETE", f"faults/{number}")
    control(kore, "POST", "faults", 201, name="forbidden")
    control(kore, "DELETE", "faults")
    assert call.page("cl-2").status_code == 200
    assert [record["status"] for record in control(kore, "GET", "requests")] == [500, 200]
    assert control(kore, "GET", "report") == kore.report()
    control(kore, "DELETE", "requests")
    control(kore, "PATCH", "settings", max_limit=2)
    assert control(kore, "GET", "settings")["max_limit"] == 2
    assert control(kore, "GET", "connection") == kore.connection
    assert kore.requests == []


@pytest.mark.parametrize("path", ["nothing", "lists/cl-1", "lists/cl-1/melt", "faults/99", "campaigns/x/y", ""])
def test_the_control_api_says_what_it_does_not_have(kore, path):
    assert "no" in control(kore, "POST" if path != "faults/99" else "DELETE", path, 404)["error"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sense"),
    [
        ("POST", "faults", {"name": "none"}, 400, "there is no fault 'none'"),
        ("POST", "faults", {}, 400, "name"),
        ("PATCH", "settings", {"total": 1}, 400, "total=1"),
        ("POST", "lists/cl-none/append", {"n": 1}, 404, "no contact list 'cl-none'"),
        ("DELETE", "lists/cl-none", {}, 404, "no contact list 'cl-none'"),
    ],
)
def test_the_control_api_explains_mistakes(kore, *, method, path, body, status, sense):
    assert sense in control(kore, method, path, status, **body)["error"]


def test_the_control_api_wants_a_json_object(kore):
    for body in (b"[1]", b"{"):
        response = requests.post(f"{kore.url}/_simulator/lists", data=body, timeout=30)
        assert response.status_code == 400
        assert response.json()["error"]


def test_a_list_of_more_than_a_mebibyte_can_be_handed_over(kore):
    contacts = [{"phoneNumber": "1" * 1000} for _ in range(2_000)]
    control(kore, "POST", "lists", 201, list_id="cl-2", contacts=contacts)
    assert len(list(kore.contact_ids("cl-2"))) == 2_000


# --- The command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_where_it_is_serves_and_ends_cleanly(caller_of, sent):
    arguments = [
        *("--list", "cl-demo=1234", "--campaign", "cd-demo=7", "--latency", "0.01", "--seed", "1", "--report"),
        *("--fault", "too_many_requests,times=1,retry_after=5,endpoint=contacts", "--set", "unknown_id=400"),
    ]
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = json.loads(process.stdout.readline())
        connection = json.loads(line["connection"])
        assert connection["host"] == line["url"]
        caller = caller_of(None, connection)
        assert caller.page("cl-demo").headers["Retry-After"] == "5"
        assert caller.page("cl-demo").json()["data"]["totalResults"] == 1234
        assert caller.page("cl-none").status_code == 400
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert json.loads(out)["requests"] == 3
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "sense"),
    [
        (["--set", "foo=1"], "there is no setting 'foo'"),
        (["--set", "latency=slow"], "latency='slow': use a value of type float"),
        (["--fault", "none"], "there is no fault 'none'"),
        (["--list", "cl-1"], "'cl-1': write it as name=value"),
        (["--list", "cl-1=many"], "use a whole number"),
        (["--certfile", "none.pem"], "No such file"),
    ],
)
def test_the_command_refuses_mistakes_in_one_line(arguments, sense, capsys):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        assert main(arguments) == 2
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)  # a process that serves takes its signals itself
    told = capsys.readouterr().err
    assert sense in told
    assert told.count("\n") == 1


def test_the_commands_help_names_every_fault(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    flowing = capsys.readouterr().out.replace("\n", " ")
    assert [name for name in FAULTS if name not in flowing] == []
