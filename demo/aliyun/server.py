"""Puts a ``SimulatedCloud`` on a loopback port, with a control path beside the API."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self, cast

from demo.aliyun.cloud import PRODUCT_CODES, FaultKind, Request, Response, SimulatedCloud
from demo.aliyun.exchange import Placed
from demo.aliyun.trail import add_trail_event

CONTROL_PATH, CONTROL_HEADER = "/__control__/", "x-simulated-control"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "SimulatedAlibabaCloud/1"
    disable_nagle_algorithm = True

    @property
    def owner(self) -> "CloudServer":
        return cast(_Listener, self.server).owner

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Silent: a request line carries a signature."""

    def handle_one(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # whoever sent it has gone in the middle
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.path.startswith(CONTROL_PATH):
            self._answer(self.owner.control(self.command, self.path, headers, body))
            return
        response = self.owner.cloud.handle(Request(self.command, self.path, headers, body))
        fault = response.fault
        if fault and fault.kind in (FaultKind.TIMEOUT, FaultKind.RESET, FaultKind.HALF):
            self.close_connection = True
            if fault.kind is FaultKind.TIMEOUT:
                self.owner.stopping.wait(fault.seconds)
            if fault.kind is FaultKind.HALF:
                self._answer(response, cut=len(response.body) // 2)
        elif fault and fault.kind is FaultKind.GARBAGE:
            self._answer(Response(200, b"<html>502 Bad Gateway", "text/html"))
        else:
            self._answer(response)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one  # noqa: N815 - the names that BaseHTTPRequestHandler calls

    def _answer(self, response: Response, cut: int | None = None) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.send_header("x-acs-request-id", response.request_id)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body[:cut])


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: "CloudServer"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gave up waiting is not worth a trace."""


class CloudServer:
    """``with CloudServer(demo_cloud()) as server: Client(endpoints=server.endpoints())``"""

    def __init__(self, cloud: SimulatedCloud, *, port: int = 0, host: str = "127.0.0.1") -> None:
        self.cloud = cloud
        self.stopping = threading.Event()
        self._listener = _Listener((host, port), _Handler)
        self._listener.owner = self
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        host, port = self._listener.server_address[:2]
        return f"http://{host!s}:{port}"

    def endpoints(self) -> dict[str, str]:
        return dict.fromkeys(PRODUCT_CODES, self.url)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self.stopping.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self) -> None:
        while self._thread.is_alive():
            time.sleep(0.5)

    def control(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """For a demonstration by hand. The header keeps web pages in a browser from reaching it."""
        if CONTROL_HEADER not in headers:
            return _json(403, {"error": f"send the header {CONTROL_HEADER}"})
        try:
            return self._control(method, path.removeprefix(CONTROL_PATH), json.loads(body or b"{}"))
        except (KeyError, TypeError, ValueError) as error:
            return _json(400, {"error": f"{type(error).__name__}: {error}"})

    def _control(  # noqa: PLR0911 - one line for each thing that can be controlled
        self, method: str, what: str, wanted: dict[str, object]
    ) -> Response:
        if what == "telephone":
            return self._telephone(method, wanted)
        match method, what:
            case "GET", "calls":
                return _json(200, dict(self.cloud.all_calls()))
            case "POST", "faults":
                fault = self.cloud.fail(**wanted)  # type: ignore[arg-type]  # checked by the call itself: TypeError is 400
                return _json(200, {"kind": fault.kind, "remaining": fault.remaining})
            case "DELETE", "faults":
                self.cloud.heal()
                return _json(200, {})
            case "POST", "trail":
                return _json(200, {"event": self._act(wanted)})
            case "POST", "pace":
                self._pace(**wanted)  # type: ignore[arg-type]  # as above
                return _json(200, {})
            case "POST", "metrics":
                self.cloud.metrics.set_value(**wanted)  # type: ignore[arg-type]  # as above
                return _json(200, {})
            case "DELETE", "metrics":
                self.cloud.metrics.clear()
                return _json(200, {})
        return _json(404, {"error": "GET calls, telephone; POST telephone, trail, pace; POST, DELETE faults, metrics"})

    def _act(self, wanted: dict[str, object]) -> str:
        """Somebody calls an API this moment: the account, the names of `add_trail_event`, and listed without delay."""
        estate = self.cloud.estate(str(wanted.pop("uid")))
        return add_trail_event(estate, at=self.cloud.clock(), late=timedelta(), **wanted)  # type: ignore[arg-type]  # as above

    def _pace(self, uid: str, *, takes_s: float | None = None, listed_after_s: float | None = None) -> None:
        """How long an account takes for what it is asked to do, and to list it in its trail."""
        work = self.cloud.estate(uid).work
        work.takes = work.takes if takes_s is None else timedelta(seconds=takes_s)
        work.listed_after = work.listed_after if listed_after_s is None else timedelta(seconds=listed_after_s)

    def _telephone(self, method: str, wanted: dict[str, object]) -> Response:
        """What was called and texted; a POST names the receivers of receipts and has them told."""
        exchange = self.cloud.exchange
        if method == "GET":
            return _json(200, {"placed": [_shown(each) for each in exchange.placed]})
        exchange.receivers.update({kind: str(wanted[kind]) for kind in ("voice", "sms") if kind in wanted})
        return _json(200, {"taken": exchange.push_reports()})


def _shown(placed: Placed) -> dict[str, object]:
    return {**asdict(placed), "at": placed.at.isoformat(), "words": dict(placed.words)}


def _json(status: int, body: Mapping[str, object]) -> Response:
    return Response(status, json.dumps(body).encode())
