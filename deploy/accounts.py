#!/usr/bin/env python3
"""Make MLflow's accounts `recorder` and `reader`; those that are there keep their passwords.

python deploy/accounts.py URI FOLDER      FOLDER has mlflow_admin, mlflow_recorder, mlflow_reader
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx

WAIT_SECONDS = 300
ACCOUNTS = ("recorder", "reader")


def main(uri: str, folder: Path) -> None:
    """Wait for MLflow, then make what is missing."""

    def password(account: str) -> str:
        return (folder / f"mlflow_{account}").read_text().strip()

    users = f"{uri}/api/2.0/mlflow/users"
    with httpx.Client(auth=("admin", password("admin")), timeout=30) as client:
        _wait(client, uri)
        for account in ACCOUNTS:
            known = client.get(f"{users}/get", params={"username": account})
            if known.status_code == 404:
                made = {"username": account, "password": password(account)}
                client.post(f"{users}/create", json=made).raise_for_status()
                print(f"{account}: made")
            else:
                known.raise_for_status()
                print(f"{account}: is there")


def _wait(client: httpx.Client, uri: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if client.get(f"{uri}/health").is_success:
                return
        time.sleep(1)
    sys.exit(f"MLflow at {uri} does not answer")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
