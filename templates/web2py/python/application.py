"""Notes, stored in the database: GET / lists them, POST / with `text` adds one.

Answers are plain text with the name of the task.
"""

import os
import socket

import pymysql
from flask import Flask, redirect, request

app = Flask(__name__)


def connect():
    """Returns a connection for one request.

    The password is read each time, since the secret may have changed with the task.
    """
    with open(os.environ["DATABASE_PASSWORD_FILE"], encoding="utf-8") as secret:
        password = secret.read().strip()
    return pymysql.connect(
        host=os.environ.get("DATABASE_HOST", "mysql5"),
        user=os.environ.get("DATABASE_USER", "web2py"),
        password=password,
        database=os.environ.get("DATABASE_NAME", "web2py"),
        charset="utf8mb4",
        connect_timeout=5,
        autocommit=True,
    )


@app.errorhandler(pymysql.err.OperationalError)
def away(error):
    """Answers with an error while the database starts or is away; a later request may succeed."""
    app.logger.warning("no database: %s", error)
    return f"the database does not answer {socket.gethostname()}\n", 503, {"Content-Type": "text/plain"}


@app.get("/")
def listing():
    """Lists all notes, the oldest first."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT text, task FROM notes ORDER BY id")
        rows = cursor.fetchall()
    lines = [f"{text} (from {task})" for text, task in rows]
    last = f"{len(rows)} notes, read by {socket.gethostname()}"
    return "\n".join([*lines, last, ""]), 200, {"Content-Type": "text/plain; charset=utf-8"}


@app.post("/")
def add():
    """Adds one note."""
    text = request.form.get("text", "").strip()[:200]
    if not text:
        return "text is missing\n", 400
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO notes (text, task) VALUES (%s, %s)", (text, socket.gethostname()))
    return redirect("/", code=303)


@app.get("/healthy")
def healthy():
    """Health check for load balancers: this task runs, whatever the state of the database."""
    return "yes\n"
