"""The products that are read through their own status: one module each, one line each in the mapping here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp

from monitoring.collectors import Job, Outcome, Problem, Step
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.config.machines import ProductConfig
from monitoring.collectors.network import Guard, explain
from monitoring.collectors.products import (
    apache,
    docker,
    elasticsearch,
    haproxy,
    java,
    kafka,
    kubernetes,
    memcached,
    mongodb,
    mysql,
    nginx,
    oracle,
    phpfpm,
    postgresql,
    rabbitmq,
    redis,
    solr,
    tomcat,
    weblogic,
    windows,
    zookeeper,
)
from monitoring.collectors.products.frame import CannotReadError, Option, Product, Visit

__all__ = ["PRODUCTS", "Product", "checked", "collect"]

log = logging.getLogger(__name__)

AT_ONCE: Final = 50

_ALL: Final = (
    nginx.PRODUCT,
    apache.PRODUCT,
    tomcat.PRODUCT,
    phpfpm.PRODUCT,
    haproxy.PRODUCT,
    mysql.PRODUCT,
    postgresql.PRODUCT,
    redis.PRODUCT,
    memcached.PRODUCT,
    zookeeper.PRODUCT,
    rabbitmq.PRODUCT,
    java.PRODUCT,
    java.RESIN_PRODUCT,
    weblogic.PRODUCT,
    windows.PRODUCT,
    windows.IIS_PRODUCT,
    windows.SQLSERVER_PRODUCT,
    oracle.PRODUCT,
    mongodb.PRODUCT,
    elasticsearch.PRODUCT,
    solr.PRODUCT,
    java.EHCACHE_PRODUCT,
    kafka.PRODUCT,
    kafka.LAG_PRODUCT,
    kubernetes.PRODUCT,
    docker.PRODUCT,
    docker.CADVISOR_PRODUCT,
)
PRODUCTS: Final[Mapping[str, Product]] = {product.slug: product for product in _ALL}


def checked(config: ProductConfig) -> ProductConfig:
    """The same configuration, once its product and its options are known to exist. Raises ConfigError."""
    product = PRODUCTS.get(config.product)
    if product is None:
        raise ConfigError("product", "choice")
    known = {option.name: option for option in product.options}
    for name, value in config.options.items():
        if name not in known:
            raise ConfigError(name, "unknown_field")
        if not _fits(known[name], value):
            raise ConfigError(name, "choice")
    return config


def _fits(option: Option, value: object) -> bool:
    if option.choices:
        return value in option.choices
    if isinstance(option.default, bool) or isinstance(value, bool):
        return isinstance(option.default, bool) and isinstance(value, bool)
    if isinstance(option.default, int | float):
        return isinstance(value, int | float)
    return isinstance(value, str) and len(value) <= 1000


async def collect(jobs: Sequence[Job[ProductConfig]], *, guard: Guard) -> list[Outcome]:
    """Look at all servers, overlapping; each fails or succeeds by itself."""
    places = asyncio.Semaphore(AT_ONCE)
    return list(await asyncio.gather(*(_one(job, guard, places) for job in jobs)))


async def _one(job: Job[ProductConfig], guard: Guard, places: asyncio.Semaphore) -> Outcome:
    outcome = Outcome(job.target_id)
    product = PRODUCTS.get(job.config.product)
    if product is None:
        outcome.problem = Problem("config", job.config.product)
        return outcome
    async with places:
        began = time.perf_counter()
        visit = Visit(job, guard, outcome)
        try:
            async with asyncio.timeout(job.config.timeout_s):
                await product.collect(visit)
        except CannotReadError as error:
            _fail(outcome, error.code, error.detail)
        except (aiohttp.ClientError, OSError, EOFError) as error:
            failure = explain(error)
            _fail(outcome, "reset" if isinstance(error, EOFError) else failure.code, failure.detail)
        except Exception as error:  # an answer that no adapter foresaw concerns this server alone, not its batch
            log.exception("reading %s of target %s failed", job.config.product, job.target_id)
            _fail(outcome, "wrong_page", f"{type(error).__name__}: {error}")
        else:
            outcome.state = visit.state()
            visit.step("figures", str(len(outcome.value)))
        outcome.took_ms = (time.perf_counter() - began) * 1000
    return outcome


def _fail(outcome: Outcome, code: str, detail: str) -> None:
    outcome.problem = Problem(code, detail)
    outcome.steps.append(Step(code, detail, ok=False))
