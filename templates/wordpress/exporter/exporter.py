"""Live and desired replicas of each service of the swarm, for Prometheus, on port 8000.

It reads the Engine's API through the socket of a manager, anew at each scrape: three GET requests, and no others.
"""

import http.client
import json
import os
import socket
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

SOCKET = os.environ.get("ENGINE_SOCKET", "/var/run/docker.sock")
TIMEOUT = 8  # seconds; below Prometheus's own limit of 10, so that the reason is told
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
    """What the Engine answers to a GET, decoded."""
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
    """Live and desired replicas by service.

    The Engine's own count of running tasks is not used: tasks of a node that is lost stay in it as running.
    """
    services = read("/services?status=true")
    ready = {node["ID"] for node in read("/nodes") if node["Status"]["State"] == "ready"}
    tasks = read(f"/tasks?filters={RUNNING}")
    live = Counter(
        task["ServiceID"] for task in tasks if task["Status"]["State"] == "running" and task.get("NodeID") in ready
    )
    return {service["Spec"]["Name"]: (live[service["ID"]], desired(service)) for service in services}


def desired(service):
    """What a service's specification says; of a global one, a task on each node that may have it."""
    mode = service["Spec"]["Mode"]
    return mode["Replicated"]["Replicas"] if "Replicated" in mode else service["ServiceStatus"]["DesiredTasks"]


def metrics():
    """The text that Prometheus reads."""
    counted = sorted(replicas().items())
    lines = []
    for position, (name, meaning) in enumerate((("live", "that run on a node that is ready"), ("desired", "that are asked for"))):
        metric = f"swarm_service_{name}_replicas"
        lines += [f"# HELP {metric} Tasks of the service {meaning}.", f"# TYPE {metric} gauge"]
        lines += [f'{metric}{{service="{service}"}} {count[position]}' for service, count in counted]
    return "\n".join(lines) + "\n"


class Answer(BaseHTTPRequestHandler):
    """One scrape. When the Engine does not answer, neither does this: the target is then down, and says why."""

    def do_GET(self):
        """`/metrics`, and nothing else."""
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
        """Scrapes are not worth a line each."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8000), Answer).serve_forever()
