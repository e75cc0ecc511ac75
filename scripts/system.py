"""Which system libraries and programs are needed, whether they are there, and how Debian's packages bring them."""

# ruff: noqa: S603 - fixed programs, never a shell

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from failure import Failure, say


@dataclass(frozen=True)
class Need:
    """One Debian package, known to be there by a shared library, a program or a file."""

    package: str
    library: str = ""
    program: str = ""
    file: str = ""

    def is_met(self) -> bool:
        if self.library:
            try:
                ctypes.CDLL(self.library)
            except OSError:
                return False
            return True
        if self.program:
            return shutil.which(self.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None
        return any(Path("/").glob(self.file))


FOR_RUNNING = (  # WeasyPrint's libraries, of which Pango brings the other ones, and its fonts
    Need("libpango-1.0-0", library="libpango-1.0.so.0"),
    Need("libpangoft2-1.0-0", library="libpangoft2-1.0.so.0"),
    Need("libharfbuzz-subset0", library="libharfbuzz-subset.so.0"),
    Need("fonts-noto-cjk", file="usr/share/fonts/opentype/noto/NotoSansCJK-*.ttc"),  # reports are written in Chinese
)
FOR_TESTS = (
    *FOR_RUNNING,
    Need("chromium", file="usr/bin/chromium"),
    Need("openssh-server", program="sshd"),
    Need("prometheus", program="prometheus"),
    Need("victoria-metrics", program="victoria-metrics"),
    # the products that monitoring reads, as real servers; without their services where there is such a package
    Need("apache2-bin", program="apache2"),
    Need("nginx-light", program="nginx"),
    Need("php-fpm", file="usr/sbin/php-fpm*"),
    Need("haproxy", program="haproxy"),
    Need("memcached", program="memcached"),
    Need("mariadb-server-core", program="mariadbd"),
    Need("mariadb-client-core", program="my_print_defaults"),  # what mariadb-install-db calls
    Need("rabbitmq-server", file="usr/lib/rabbitmq/bin/rabbitmq-server"),
    Need("prometheus-node-exporter", program="prometheus-node-exporter"),
    Need("default-jre-headless", program="java"),
    Need("libzookeeper-java", file="usr/share/java/zookeeper.jar"),
    Need("tomcat10-admin", file="usr/share/tomcat10-admin/manager"),
    Need("libtomcat9-java", file="usr/share/java/tomcat9-catalina.jar"),
    Need("libjolokia-core-java", file="usr/share/java/jolokia-core.jar"),
    Need("dovecot-imapd", program="dovecot"),  # the mailbox that incidents come in by
    Need("rsync", program="rsync"),  # goes through the bastion as a command
    Need("tmux", program="tmux"),  # a screen within the screen, from which commands are read
)
NO_SERVICES = Path("/usr/sbin/policy-rc.d")
"""Debian asks this program before it starts a service after installing it; 101 means: do not."""


def provide(needs: Iterable[Need], *, insist: bool) -> None:
    """Installs what is missing when root on a machine with apt; otherwise tells the person the command to run.

    Without `insist` the platform goes on: only reports as PDF wait for Pango.
    """
    if not (missing := [need.package for need in needs if not need.is_met()]):
        return
    if can_install():
        install(missing)
        return
    command = f"sudo apt-get install {' '.join(missing)}"
    zh, en = f"缺少系统软件包，请执行：{command}", f"System packages are missing, run: {command}"
    if insist:
        raise Failure(zh, en)
    say(f"{zh}（在此之前无法生成 PDF 报告，其余功能不受影响）", f"{en} (until then no PDF reports; all else works)")


@contextmanager
def without_services() -> Iterator[None]:
    """While installing, no service starts: tests bring their servers up themselves, on ports of their own."""
    if NO_SERVICES.exists():
        yield
        return
    NO_SERVICES.write_text("#!/bin/sh\nexit 101\n")
    NO_SERVICES.chmod(0o755)
    try:
        yield
    finally:
        NO_SERVICES.unlink(missing_ok=True)


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(names: list[str]) -> None:
    say(f"正在安装系统软件包 {' '.join(names)} …", f"Installing system packages {' '.join(names)} …")
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=2"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    output = ""
    with without_services():
        for command in ([*apt, "update"], [*apt, "install", "--no-install-recommends", *names]):
            done = subprocess.run(
                command, check=False, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            output += done.stdout + done.stderr
    if done.returncode:
        reasons = [line for line in output.splitlines() if line.startswith("E:")] or output.splitlines()[-1:]
        reason = " ".join(reasons)
        raise Failure(f"系统软件包安装失败：{reason}", f"System packages could not be installed: {reason}")
