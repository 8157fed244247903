"""The blocking half: threads, Ctrl-C, forks, the end of the interpreter."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Iterator

import pytest

from smalt import Smalt, SmaltError, make_key
from smalt.errors import ConfigurationError, ConflictError, NotFoundError, SmaltTimeoutError

FULL = bool(os.environ.get("SMALT_FULL"))


def script(text: str, *, timeout: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in an interpreter of its own."""
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=timeout, env=environment, cwd="/"
    )


def test_ten_lines() -> None:
    with Smalt.sandbox() as smalt:
        account = smalt.account("customer-42")
        account.ensure()
        connection = account.connect("sandbox-oauth")
        config = account.config("sandbox-oauth")
        credential = account.credential("sandbox-oauth")
        answer = account.request("sandbox-oauth", "GET", "items")
        receipt = account.disconnect("sandbox-oauth")
    assert connection.status == "active" and config.version == 1 and answer.status == 200
    assert credential.access_token is not None and receipt.revocation == "revoked"


def test_a_session_has_less_power() -> None:
    with Smalt.sandbox() as smalt:
        account = smalt.account("a")
        account.ensure()
        session = account.session()
        assert smalt.verify_session(session.token).account_id == "a"
        assert [app.slug for app in session.list_apps()] == [app.slug for app in account.list_apps()]
        for power in ("credential", "request", "import_connection", "run_workflow", "get", "delete"):
            assert not hasattr(session, power)
        assert session.revoke() is True
        with pytest.raises(SmaltError) as ended:
            session.list_apps()
        assert ended.value.code == "invalid_token"


def test_a_missing_key_and_a_missing_project_name_their_cure(tmp_path: Path) -> None:
    without = {name: value for name, value in os.environ.items() if not name.startswith("SMALT_")}
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(without)
    try:
        with pytest.raises(ConfigurationError, match="smalt init") as missing:
            Smalt.embedded(tmp_path / "smalt.db")
        assert missing.value.code == "key_missing"
        with pytest.raises(ConfigurationError, match=r"smalt\.toml.*`smalt init` writes a project file") as missing:
            Smalt.embedded(tmp_path / "smalt.db", key=make_key(), project=tmp_path / "smalt.toml")
        assert missing.value.code == "project_invalid"
    finally:
        os.environ.update(before)


def test_32_threads_block_side_by_side(tmp_path: Path) -> None:
    with Smalt.embedded(tmp_path / "smalt.db", key=make_key()) as smalt:
        failed: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for n in range(10):
                    smalt.account(f"{number}-{n}").ensure()
            except BaseException as why:
                failed.append(why)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed and smalt.count_accounts() == 320


def test_other_threads_run_while_one_waits() -> None:
    with Smalt.sandbox() as smalt:
        since = None
        waiting = threading.Thread(target=lambda: smalt.events_page(since=since, wait=60))
        waiting.start()
        smalt.account("a").ensure()
        waiting.join(60)
        assert not waiting.is_alive()


def test_a_timeout_ends_the_wait() -> None:
    with Smalt.sandbox() as smalt, pytest.raises(SmaltTimeoutError):
        smalt.with_timeout(0.05).events_page(wait=3600)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_ctrl_c_ends_the_wait_at_once() -> None:
    program = """
        import os, signal, threading, time
        from smalt import Smalt
        # Whoever is started in the background of a shell ignores it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with Smalt.sandbox() as smalt:
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            try:
                smalt.events_page(wait=3600)
            except KeyboardInterrupt:
                smalt.account("after").ensure()
                print("interrupted, and", smalt.count_accounts())
    """
    ended = script(program)
    assert ended.stdout == "interrupted, and 1\n", ended.stderr


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell which signals a process handles")
def test_nothing_is_changed_in_the_process() -> None:
    """Signals, limits, hooks and loggers are as they were."""
    program = """
        import logging, resource, signal, sys, threading
        def state():
            with open("/proc/self/status") as status:
                signals = [line for line in status if line.startswith("Sig") and not line.startswith("SigQ")]
            python = [signal.getsignal(number) for number in signal.valid_signals()]
            limits = [resource.getrlimit(name) for name in (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE, resource.RLIMIT_AS)]
            hooks = [sys.excepthook, sys.unraisablehook, threading.excepthook]
            return signals, python, limits, hooks, logging.root.handlers[:], logging.root.level
        # The C library handles a signal of its own from the first thread on.
        threading.Thread(target=int).start()
        before = state()
        from smalt import Smalt
        with Smalt.sandbox() as smalt:
            account = smalt.account("a")
            account.ensure()
            account.connect("sandbox-oauth")
            account.request("sandbox-oauth", "GET", "items")
            open_ = state()
        print(before == open_ == state() or (before, open_, state()))
    """
    ended = script(program)
    assert ended.stdout == "True\n", ended.stdout + ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_signal_that_is_handled_does_not_end_the_wait() -> None:
    program = """
        import os, signal, threading
        from smalt import Smalt
        heard = []
        signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
        with Smalt.sandbox() as smalt:
            threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
            smalt.events_page(wait=0.6)
            print(len(heard))
    """
    assert script(program).stdout == "1\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("half", ["Smalt", "AsyncSmalt"])
def test_s80_a_forked_child_opens_its_own(half: str) -> None:
    """The parent's handle answers `closed` in the child, in words; the child's own works, and the parent's goes on."""
    program = f"""
        import asyncio, os, signal, sys, tempfile
        from smalt import {half} as Half, SmaltError, make_key
        path, key = tempfile.mkdtemp() + "/smalt.db", make_key()
        loop = asyncio.new_event_loop()
        def do(call):
            return loop.run_until_complete(call) if asyncio.iscoroutine(call) or hasattr(call, "__await__") else call
        smalt = do(Half.embedded(path, key=key, project={{"version": 1, "sandbox": {{"enabled": True}}, "apps": {{"sandbox-oauth": {{}}}}}}))
        do(smalt.account("a").ensure())
        for _ in range({50 if FULL else 5}):
            child = os.fork()
            if child == 0:
                signal.alarm(40)
                status = 1
                try:
                    loop = asyncio.new_event_loop()
                    try:
                        do(smalt.account("a").get())
                    except SmaltError as error:
                        assert error.code == "closed" and "fork" in str(error), error
                        try:
                            do(smalt.account("a").credential("sandbox-oauth"))
                        except SmaltError as error:
                            assert error.code == "closed", error
                            own = do(Half.embedded(path, key=key))
                            assert do(own.account("a").get()).id == "a"
                            do(own.close() if hasattr(own, "close") else own.aclose())
                            status = 0
                finally:
                    os._exit(status)
            ended = os.waitpid(child, 0)[1]
            assert ended == 0, ended
            assert do(smalt.account("a").get()).id == "a"
        print("ok")
    """
    ended = script(program, timeout=900 if FULL else 120)
    assert ended.stdout == "ok\n", ended.stderr


def test_s80_what_a_child_writes_outlives_its_parents_handle() -> None:
    """The parent closes while the child is at work, as a program does that forks its workers and ends: the child's writes stay."""
    program = """
        import os, tempfile, threading
        from smalt import Smalt, SmaltError, make_key
        path, key = tempfile.mkdtemp() + "/smalt.db", make_key()
        parent = Smalt.embedded(path, key=key)
        parent.account("parent").ensure()
        def busy():
            try:
                while True:
                    parent.account("parent").get()
            except SmaltError as error:
                assert error.code == "closed", error
        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads:
            thread.start()
        (written, tell_written), (closed, tell_closed) = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                own = Smalt.embedded(path, key=key)
                own.account("before").ensure()
                os.write(tell_written, b"x"), os.read(closed, 1)
                own.account("after").ensure()
                own.close()
                status = 0
            finally:
                os._exit(status)
        os.read(written, 1)
        parent.close()
        os.write(tell_closed, b"x")
        status = os.waitpid(child, 0)[1]
        with Smalt.embedded(path, key=key) as again:
            print(status, sorted(account.id for account in again.accounts()))
    """
    ended = script(program)
    assert ended.stdout == "0 ['after', 'before', 'parent']\n", ended.stderr


def test_s80_multiprocessing_by_fork() -> None:
    rounds = 25 if FULL else 2
    program = f"""
        import multiprocessing, tempfile
        from smalt import Smalt, make_key
        path, key = tempfile.mkdtemp() + "/smalt.db", make_key().reveal()
        def work(n):
            with Smalt.embedded(path, key=key) as smalt:
                return smalt.account(f"a-{{n}}").ensure().id
        if __name__ == "__main__":
            with Smalt.embedded(path, key=key) as smalt:
                smalt.account("parent").ensure()
                for begins in range(0, {rounds} * 8, 8):
                    with multiprocessing.get_context("fork").Pool(4) as pool:
                        made = pool.map(work, range(begins, begins + 8))
                    assert made == [f"a-{{n}}" for n in range(begins, begins + 8)], made
                    assert smalt.account(made[0]).get().id == made[0]
                print(smalt.count_accounts())
    """
    ended = script(program, timeout=900 if FULL else 120)
    assert ended.stdout == f"{rounds * 8 + 1}\n", ended.stderr


EXIT = """
    import asyncio, threading, sys
    from smalt import AsyncSmalt, Smalt
    smalt = Smalt.sandbox()
    account = smalt.account("a")
    account.ensure()
    account.connect("sandbox-oauth")
    def block():
        while True:
            smalt.events_page(wait=0.01)
            account.credential("sandbox-oauth")
            account.get()
    def awaits():
        async def calls():
            async with AsyncSmalt.sandbox() as own:
                await own.account("b").ensure()
                while True:
                    await asyncio.gather(*(own.account("b").get() for _ in range(16)))
        asyncio.run(calls())
    for target in (block, block, block, awaits, awaits):
        threading.Thread(target=target, daemon=True).start()
    import time
    time.sleep(0.15)
"""


def test_the_interpreter_ends_with_calls_in_flight() -> None:
    """Daemon threads are blocked in calls, and loops await some, while the interpreter ends: nobody aborts, nobody hangs."""
    runs = 300 if FULL else 15
    failed = []
    for number in range(0, runs, 3):
        several = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(EXIT)], stderr=subprocess.PIPE, text=True) for _ in range(3)]
        for process in several:
            _, said = process.communicate(timeout=120)
            if process.returncode != 0 or "Fatal" in said or "panicked" in said:
                failed.append((number, process.returncode, said[-500:]))
    assert not failed, f"{len(failed)} of {runs}: {failed[:3]}"


def test_an_upload_is_sent_part_by_part(tmp_path: Path) -> None:
    pieces = [f"{n};".ljust(1024, ".").encode() for n in range(60)]
    whole = b"".join(pieces)
    read = iter(pieces)
    file = tmp_path / "body"
    file.write_bytes(whole)
    with Smalt.sandbox() as smalt:
        account = smalt.account("a")
        account.ensure()
        with pytest.raises(ConflictError) as refused:
            account.upload("sandbox-oauth", "PUT", "echo", read)
        assert refused.value.code == "not_connected" and len(list(read)) > 50
        account.connect("sandbox-oauth")
        with file.open("rb") as opened:
            for body in (pieces, iter(pieces), opened):
                answer = account.upload("sandbox-oauth", "PUT", "echo", body, content_type="text/plain", query={"a": "b"})
                came = answer.json()
                assert (answer.status, came["method"], came["query"]) == (200, "PUT", "a=b")
                assert came["headers"]["content-type"] == "text/plain" and "content-length" not in came["headers"]
                assert came["body"].encode() == whole
        sized = account.upload("sandbox-oauth", "PUT", "echo", pieces, length=len(whole)).json()
        assert sized["headers"]["content-length"] == str(len(whole))
        # One that says too little of itself is cut.
        with pytest.raises(SmaltError, match="larger than 4 bytes"):
            account.upload("sandbox-oauth", "PUT", "echo", pieces, length=4)

        def breaks() -> Iterator[bytes]:
            yield b"half"
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            account.upload("sandbox-oauth", "PUT", "echo", breaks())
        for mistake in (b"bytes", "text"):
            with pytest.raises(TypeError, match="parts"):
                account.upload("sandbox-oauth", "PUT", "echo", mistake)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            account.upload("sandbox-oauth", "PUT", "echo", ["text"])  # type: ignore[list-item]
        assert account.upload("sandbox-oauth", "PUT", "echo", [b"a"]).json()["body"] == "a"


def test_a_large_upload_is_read_no_faster_than_the_application_takes_it() -> None:
    part, parts = 64 * 1024, 512
    sent, came = hashlib.sha256(), hashlib.sha256()
    made = 0
    released = threading.Event()

    class Provider(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            released.wait(60)
            left = int(self.headers["content-length"])
            while left:
                piece = self.rfile.read(min(left, part))
                if not piece:
                    return
                came.update(piece)
                left -= len(piece)
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"workspace": {"id": "acme", "name": "Acme"}}')

        def log_message(self, format: str, *args: object) -> None: ...

    read: list[int] = []

    def release() -> None:
        # What the system's buffers hold was taken, and no more: long enough for all of it.
        read.append(made)
        released.set()

    def body() -> Iterator[bytes]:
        nonlocal made
        threading.Timer(1, release).start()
        for made in range(1, parts + 1):
            piece = bytes([made % 256]) * part
            sent.update(piece)
            yield piece

    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sandbox = {"enabled": True, "url": f"http://127.0.0.1:{server.server_port}"}
        with Smalt.embedded(key=make_key(), project={"version": 1, "sandbox": sandbox, "apps": {"sandbox-key": {}}}) as smalt:
            account = smalt.account("acme-1")
            account.ensure()
            account.connect("sandbox-key", inputs={"key": "sandbox-key-good", "workspace": "acme"})
            answer = account.upload("sandbox-key", "PUT", "files", body(), length=part * parts)
        server.shutdown()
    assert answer.status == 200 and made == parts
    assert 0 < read[0] < parts, f"{read} of {parts} parts were read while nobody took them"
    assert came.digest() == sent.digest()


def test_errors_are_pickled() -> None:
    with Smalt.sandbox() as smalt, pytest.raises(NotFoundError) as raised:
        smalt.account("nobody").get()
    error = raised.value
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is NotFoundError and str(again) == str(error)
    assert (again.code, again.retry, again.context, again.http_status) == (error.code, error.retry, error.context, 404)


def test_the_import_is_cheap() -> None:
    program = "import sys, time; t = time.perf_counter(); import smalt; print(time.perf_counter() - t, 'asyncio' in sys.modules)"
    times = [script(program).stdout.split() for _ in range(5)]
    assert {heavy for _, heavy in times} == {"False"}
