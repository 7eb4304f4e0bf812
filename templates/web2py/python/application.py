"""Notes, kept in the database: GET / lists them, POST / with `text` adds one. Plain text, with the task that says so."""

import os
import socket

import pymysql
from flask import Flask, redirect, request

app = Flask(__name__)


def connect():
    """A connection for one request. The password is read each time: a secret may have changed with its task."""
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
    """The database is starting, or away: the next request may find it."""
    app.logger.warning("no database: %s", error)
    return f"the database does not answer {socket.gethostname()}\n", 503, {"Content-Type": "text/plain"}


@app.get("/")
def listing():
    """All notes, the oldest first."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT text, task FROM notes ORDER BY id")
        rows = cursor.fetchall()
    lines = [f"{text} (from {task})" for text, task in rows]
    last = f"{len(rows)} notes, read by {socket.gethostname()}"
    return "\n".join([*lines, last, ""]), 200, {"Content-Type": "text/plain; charset=utf-8"}


@app.post("/")
def add():
    """One note."""
    text = request.form.get("text", "").strip()[:200]
    if not text:
        return "text is missing\n", 400
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO notes (text, task) VALUES (%s, %s)", (text, socket.gethostname()))
    return redirect("/", code=303)


@app.get("/healthy")
def healthy():
    """For whoever balances load: this task is there, whatever the database does."""
    return "yes\n"
