"""The form, on port 5000.

With QUEUE_HOST, answers go into a queue that workers empty; without it, directly into the database.
"""

import json
import os
import socket

from flask import Flask, redirect, render_template, request

import store

app = Flask(__name__, template_folder="pages")
FIELDS = ("name", "coat", "donut")


def keep(answer):
    """Queues or stores an answer."""
    host = os.environ.get("QUEUE_HOST")
    if host:
        import redis

        redis.Redis(host=host, socket_connect_timeout=5).rpush("answers", json.dumps(answer))
        return
    connection = store.connect()
    try:
        store.add(connection, answer)
    finally:
        connection.close()


@app.get("/")
def form():
    """Shows the form."""
    return render_template("form.html", fields=FIELDS)


@app.post("/")
def submit():
    """Accepts one answer; every field is required."""
    answer = {field: request.form.get(field, "").strip()[:200] for field in FIELDS}
    missing = [field for field in FIELDS if not answer[field]]
    if missing:
        return f"missing: {', '.join(missing)}\n", 400
    keep(answer)
    return redirect("/answers", code=303)


@app.get("/answers")
def listing():
    """Lists the answers so far, one per line, and the name of this task."""
    connection = store.connect()
    try:
        rows = store.answers(connection)
    finally:
        connection.close()
    lines = [" | ".join(row) for row in rows]
    return "\n".join(lines + [f"({len(rows)} answers, from {socket.gethostname()})", ""]), 200, {"Content-Type": "text/plain"}


@app.get("/healthy")
def healthy():
    """Health check for load balancers."""
    return "yes\n"


if __name__ == "__main__":
    database = store.connect()
    store.prepare(database)
    database.close()
    app.run(host="0.0.0.0", port=5000)
