"""A Celery worker: `celery -A celery_app worker`. Its pool forks after this module was loaded, so each process opens its own engine."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

from smalt import Smalt

app = Celery("celery_app", broker=os.environ.get("BROKER", "memory://"), backend=os.environ.get("BACKEND", "cache+memory://"))
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
if app.conf.broker_url.startswith("filesystem://"):
    folder = os.environ["FOLDER"]
    control = os.path.join(folder, "control")
    app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": control}

smalt: Smalt


@worker_process_init.connect
def opened(**_: object) -> None:
    global smalt
    smalt = Smalt.embedded(os.environ.get("STORE", "smalt.db"), project=os.environ.get("PROJECT", "smalt.toml"))


@worker_process_shutdown.connect
def closed(**_: object) -> None:
    smalt.close()


@app.task
def titles(customer: str, application: str) -> list[str]:
    """What the customer has at the application."""
    answer = smalt.account(customer).request(application, "GET", "items")
    return [item["title"] for item in answer.json()["items"]]
