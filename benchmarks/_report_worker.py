"""A process of the reports benchmark that holds what a worker holds: a document of it, or drafts until none waits."""

from __future__ import annotations

import django
from django.apps import apps

if not apps.ready:
    django.setup()

# isort: split

import io
import json
import os
import sys
import time
from pathlib import Path

import pypdf
from django.utils import timezone

from accounts import scope
from benchmarks._memory import peak_rss
from rdmp.celery import app
from rdmp.memory import sweep_less
from reports import pdf, service_document
from reports.models import ServiceFigures
from reports.services import service_reports


def make_document(kept: str) -> None:
    """From the content of a report, on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    content = json.loads(Path(kept).read_text())
    began = time.monotonic()
    made = pdf.make(service_document.preview(content))
    seconds = time.monotonic() - began
    rss = peak_rss()
    pages = len(pypdf.PdfReader(io.BytesIO(made)).pages)
    print(json.dumps({"seconds": seconds, "rss": rss, "bytes": len(made), "pages": pages}))


def read_waiting() -> None:
    """One worker: whatever waits, until nothing does."""
    with scope.platform("benchmark"):
        while waiting := list(ServiceFigures.objects.waiting(timezone.now()).values_list("pk", flat=True)[:10]):
            for pk in waiting:
                service_reports.read_figures(reading_id=pk)


if __name__ == "__main__":
    app.loader.import_default_modules()
    sweep_less()
    if sys.argv[1] == "document":
        make_document(sys.argv[2])
    else:
        read_waiting()
