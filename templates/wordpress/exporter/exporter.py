"""Exports live and desired replicas of each service of the swarm for Prometheus, on port 8000.

Reads the API of Docker Engine through the socket of a manager: three GET requests at each scrape,
and no others.
"""

import http.client
import json
import os
import socket
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

SOCKET = os.environ.get("ENGINE_SOCKET", "/var/run/docker.sock")
TIMEOUT = 8  # seconds; below the limit of 10 of Prometheus, so that it gets the reason
RUNNING = quote(json.dumps({"desired-state": ["running"]}))


class Engine(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self):
        super().__init__("localhost", timeout=TIMEOUT)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def read(path):
    """Returns the decoded answer of Docker Engine to a GET."""
    engine = Engine()
    try:
        engine.request("GET", path)
        answer = engine.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OSError(f"GET {path}: {answer.status} {body[:200].decode(errors='replace')}")
        return json.loads(body)
    finally:
        engine.close()


def replicas():
    """Returns live and desired replicas by service.

    Docker Engine's own count of running tasks is not used: it still counts the tasks of a lost node
    as running.
    """
    services = read("/services?status=true")
    ready = {node["ID"] for node in read("/nodes") if node["Status"]["State"] == "ready"}
    tasks = read(f"/tasks?filters={RUNNING}")
    live = Counter(
        task["ServiceID"] for task in tasks if task["Status"]["State"] == "running" and task.get("NodeID") in ready
    )
    return {service["Spec"]["Name"]: (live[service["ID"]], desired(service)) for service in services}


def desired(service):
    """Returns the number in the specification; for a global service, one task per eligible node."""
    mode = service["Spec"]["Mode"]
    return mode["Replicated"]["Replicas"] if "Replicated" in mode else service["ServiceStatus"]["DesiredTasks"]


def metrics():
    """Returns the metrics in the text format of Prometheus."""
    counted = sorted(replicas().items())
    lines = []
    for position, (name, meaning) in enumerate((("live", "that run on a node that is ready"), ("desired", "that are asked for"))):
        metric = f"swarm_service_{name}_replicas"
        lines += [f"# HELP {metric} Tasks of the service {meaning}.", f"# TYPE {metric} gauge"]
        lines += [f'{metric}{{service="{service}"}} {count[position]}' for service, count in counted]
    return "\n".join(lines) + "\n"


class Answer(BaseHTTPRequestHandler):
    """Handles one scrape.

    If Docker Engine cannot be read, the status is 503: the target is down, with the reason.
    """

    def do_GET(self):
        """Serves only `/metrics`."""
        status, text = 404, "see /metrics\n"
        if self.path == "/metrics":
            try:
                status, text = 200, metrics()
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                status, text = 503, f"the Engine cannot be read: {error!r}\n"
                self.log_error("%s", text.strip())
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code="-", size="-"):
        """Logs nothing: a line per scrape would be noise."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8000), Answer).serve_forever()
