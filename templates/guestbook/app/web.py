"""The guestbook, on port 8080: GET / lists the entries, POST / adds one.

Entries are documents in MongoDB.
"""

import os
import socket

import pymongo
from flask import Flask, redirect, render_template, request

app = Flask(__name__, template_folder="pages")
client = pymongo.MongoClient(
    os.environ.get("DATABASE_HOST", "mongodb"),
    serverSelectionTimeoutMS=5000,
    connectTimeoutMS=3000,
    socketTimeoutMS=10000,
)
entries = client["guestbook"]["entries"]


@app.errorhandler(pymongo.errors.PyMongoError)
def away(error):
    """Answers with an error while the database starts or is away; a later request may succeed."""
    app.logger.warning("no database: %s", error)
    return f"the database does not answer {socket.gethostname()}\n", 503, {"Content-Type": "text/plain"}


@app.get("/")
def book():
    """Shows all entries, the oldest first, and the name of this instance."""
    found = list(entries.find().sort("_id", pymongo.ASCENDING))
    return render_template("book.html", entries=found, instance=socket.gethostname())


@app.post("/")
def sign():
    """Adds one entry; both fields are required."""
    entry = {field: request.form.get(field, "").strip()[:500] for field in ("name", "message")}
    missing = [field for field, value in entry.items() if not value]
    if missing:
        return f"missing: {', '.join(missing)}\n", 400
    entries.insert_one(entry)
    return redirect("/", code=303)
