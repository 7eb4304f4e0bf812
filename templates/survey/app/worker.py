"""Moves answers from the queue into the database.

Several workers may run; exactly one of them takes each answer.
"""

import json
import os
import time

import redis

import store


def main():
    """Runs until it is stopped. An answer that cannot be stored goes back to the queue."""
    queue = redis.Redis(host=os.environ["QUEUE_HOST"], socket_connect_timeout=5)
    database = store.connect()
    store.prepare(database)
    while True:
        try:
            taken = queue.blpop(["answers"], timeout=5)
        except redis.exceptions.ConnectionError:
            time.sleep(1)
            continue
        if taken is None:
            continue
        try:
            store.add(database, json.loads(taken[1]))
        except Exception:
            queue.lpush("answers", taken[1])
            raise


if __name__ == "__main__":
    main()
