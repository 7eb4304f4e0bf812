"""Stores the answers of the survey in PostgreSQL.

Its address comes from the environment, its password from a file (a secret).
"""

import os
import time

import psycopg2


def connect():
    """Returns a connection; waits up to a minute, as the database may start after its clients."""
    with open(os.environ["DATABASE_PASSWORD_FILE"], encoding="utf-8") as secret:
        password = secret.read().strip()
    deadline = time.monotonic() + 60
    while True:
        try:
            connection = psycopg2.connect(
                host=os.environ.get("DATABASE_HOST", "db"),
                dbname="postgres",
                user="postgres",
                password=password,
                connect_timeout=5,
            )
            connection.autocommit = True
            return connection
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def prepare(connection):
    """Creates the table; several clients may try at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(2154)")
        cursor.execute("CREATE TABLE IF NOT EXISTS cats (name text, coat text, donut text)")
        cursor.execute("SELECT pg_advisory_unlock(2154)")


def add(connection, answer):
    """Stores one answer."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO cats (name, coat, donut) VALUES (%s, %s, %s)",
            (answer["name"], answer["coat"], answer["donut"]),
        )


def answers(connection):
    """Returns all answers, as (name, coat, donut)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, coat, donut FROM cats ORDER BY name, coat, donut")
        return cursor.fetchall()
