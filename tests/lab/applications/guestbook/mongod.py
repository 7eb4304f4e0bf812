"""A stand-in for MongoDB, which Debian does not have: enough of its wire protocol for a real driver to insert documents and find all of them.

Documents are kept in /data/db, one file of BSON a collection, each insert on the disk before it is answered. It has no queries, updates,
indexes, sessions or users; what it does not know it refuses, as a server does.
"""

import datetime
import os
import socketserver
import struct
import threading

import bson

FOLDER = "/data/db"
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
lock = threading.Lock()


def place(command, name):
    """The collection's file."""
    return os.path.join(FOLDER, f"{command['$db']}.{command[name]}.bson".replace("/", "_"))


def hello(_command):
    """What drivers ask first: a single server that takes writes, as version 7.0 says it."""
    return {
        "ismaster": True, "isWritablePrimary": True, "helloOk": True, "readOnly": False,
        "maxBsonObjectSize": 16 << 20, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
        "minWireVersion": 0, "maxWireVersion": 21, "localTime": datetime.datetime.now(datetime.timezone.utc),
    }


def insert(command):
    """Appends documents."""
    with lock, open(place(command, "insert"), "ab") as file:
        for document in command["documents"]:
            file.write(bson.encode(document))
        file.flush()
        os.fsync(file.fileno())
    return {"n": len(command["documents"])}


def find(command):
    """All documents of a collection, in the order of `_id`."""
    if command.get("filter") or command.get("limit") or command.get("skip"):
        return {"ok": 0.0, "code": 2, "codeName": "BadValue", "errmsg": "the stand-in finds all documents, no others"}
    try:
        with lock, open(place(command, "find"), "rb") as file:
            documents = bson.decode_all(file.read())
    except FileNotFoundError:
        documents = []
    documents.sort(key=lambda document: document["_id"])
    return {"cursor": {"id": bson.Int64(0), "ns": f"{command['$db']}.{command['find']}", "firstBatch": documents}}


COMMANDS = {
    "hello": hello, "ismaster": hello, "isMaster": hello, "insert": insert, "find": find,
    "ping": lambda _: {}, "endSessions": lambda _: {},
}


def answer(command):
    """What a command gets."""
    name = next(iter(command))
    known = COMMANDS.get(name)
    if known is None:
        return {"ok": 0.0, "code": 59, "codeName": "CommandNotFound", "errmsg": f"no such command: '{name}'"}
    return {"ok": 1.0} | known(command)


def of_message(body):
    """The command of an OP_MSG, whose sections are a document and lists of them."""
    at, command, lists = 4, {}, {}
    while at < len(body):
        kind, at = body[at], at + 1
        size = struct.unpack_from("<i", body, at)[0]
        section = body[at:at + size]
        at += size
        if kind == 0:
            command = bson.decode(section)
        else:
            name, documents = section[4:].split(b"\0", 1)
            lists[name.decode()] = bson.decode_all(documents)
    return command | lists


def of_query(body):
    """The command of an OP_QUERY: drivers still say hello by it."""
    end = body.index(b"\0", 4)
    command = bson.decode(body[end + 9:])
    return command.get("$query", command)


class Connection(socketserver.StreamRequestHandler):
    """One client."""

    def handle(self):
        while len(header := self.rfile.read(16)) == 16:
            size, request, _, operation = struct.unpack("<iiii", header)
            body = self.rfile.read(size - 16)
            if operation == OP_MSG:
                reply, operation = struct.pack("<IB", 0, 0) + bson.encode(answer(of_message(body))), OP_MSG
            elif operation == OP_QUERY:
                reply, operation = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(answer(of_query(body))), OP_REPLY
            else:
                return
            self.wfile.write(struct.pack("<iiii", 16 + len(reply), 0, request, operation) + reply)


class Server(socketserver.ThreadingTCPServer):
    """All of them."""

    allow_reuse_address = True
    daemon_threads = True


Server(("", 27017), Connection).serve_forever()
