"""The worker of a probe point somewhere else. It needs the broker and its own key: no database, no Django, no secret
but those of the checks it is given.

    RDMP_PROBE_LOCATION=hangzhou RDMP_PROBE_KEY=… REDIS_URL=rediss://… \\
        celery -A monitoring.location worker --queues probe-hangzhou --concurrency 2

What it may connect to is decided here as well: its own machine and network stay closed unless the platform's
administrator allowed the target.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from celery import Celery

from monitoring.collectors import asking, parcel
from monitoring.collectors.config import Kind
from monitoring.collectors.network import Guard, networks

RESULTS_QUEUE: Final = "probe-results"
RESULT_TASK: Final = "monitoring.probe_result"
RESULT_LIFE_S: Final = 120


def _setting(name: str, default: str = "") -> str:
    path = os.environ.get(f"{name}_FILE")
    return Path(path).read_text(encoding="utf-8").strip() if path else os.environ.get(name, default).strip()


LOCATION: Final = _setting("RDMP_PROBE_LOCATION")
KEY: Final = _setting("RDMP_PROBE_KEY")
CONTROL: Final = [word.strip() for word in _setting("RDMP_PROBE_CONTROL").split(",") if word.strip()]
CLOSED: Final = [word.strip() for word in _setting("RDMP_PLATFORM_NETWORKS", "own").split(",") if word.strip()]

app = Celery("rdmp-location", set_as_current=False)
app.conf.update(
    broker_url=_setting("REDIS_URL", "redis://127.0.0.1:6379/0"),
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "global_keyprefix": "q:",
        "socket_timeout": 10,
        "visibility_timeout": 300,
        # Its own book of what it has taken: the broker may close everybody else's to it.
        "unacked_key": f"unacked-{LOCATION}",
        "unacked_index_key": f"unacked-index-{LOCATION}",
        "unacked_mutex_key": f"unacked-mutex-{LOCATION}",
    },
    task_queues={f"probe-{LOCATION}": {}},
    task_create_missing_queues=True,
    task_default_queue=f"probe-{LOCATION}",
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    task_time_limit=120,
    timezone="UTC",
)


@lru_cache(maxsize=1)
def guard() -> Guard:
    return Guard(networks(CLOSED))


@app.task(name="monitoring.probe")
def probe(sealed: str) -> None:
    """Ask what the platform wants to know and send the answers home."""
    content = parcel.unseal(sealed, key=KEY, location=LOCATION, direction=parcel.QUESTION)
    if time.time() > content["expires"]:
        return  # nobody waits for it any more
    answer = parcel.seal(answered(content), key=KEY, location=LOCATION, direction=parcel.ANSWER)
    app.send_task(RESULT_TASK, (LOCATION, answer), queue=RESULTS_QUEUE, expires=RESULT_LIFE_S)


def answered(content: dict[str, Any]) -> dict[str, Any]:
    """The answers to a parcel of questions, with the round each belongs to."""
    kinds: dict[Kind, list[Any]] = {}
    for each in content["jobs"]:
        kind, job = parcel.job_of(each)
        kinds.setdefault(kind, []).append(job)

    async def main() -> list[dict[str, Any]]:
        found = []
        for kind, jobs in kinds.items():
            answers = await asking.ask(kind, jobs, guard=guard(), point=LOCATION, control=CONTROL)
            found += [
                {"target": job.target_id, "answer": answer.as_json()} for job, answer in zip(jobs, answers, strict=True)
            ]
        return found

    return {"round": content["round"], "answers": asking.to_the_end(main)}
