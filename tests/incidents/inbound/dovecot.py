"""A real IMAP server with TLS for the mailbox of the tests: Debian's Dovecot, on a free port, in its own place."""

import datetime
import getpass
import imaplib
import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.monitoring.products.servers import AS_ROOT, Running, free_port, place, program, running

PASSWORD = "geheim-1"

CONFIG = """
base_dir = {path}/run
state_dir = {path}/state
log_path = {path}/dovecot.log
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
ssl = required
ssl_cert = <{path}/cert.pem
ssl_key = <{path}/key.pem
ssl_min_protocol = TLSv1.2
mail_location = maildir:{path}/mail/%u
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {path}/passwd
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={path}/home/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


@dataclass
class ImapServer:
    """`put` lays a mail into a person's mailbox, as a mail server would."""

    server: Running
    port: int
    plain_port: int
    ca: Path

    def put(self, mail: bytes, *, user: str, at: datetime.datetime | None = None, folder: str = "INBOX") -> None:
        with self._client(user) as client:
            when = imaplib.Time2Internaldate(at) if at else ""
            assert client.append(folder, "", when, mail)[0] == "OK"

    def kept(self, user: str) -> list[bytes]:
        """The flags of each mail that is there."""
        with self._client(user) as client:
            client.select("INBOX", readonly=True)
            found = client.uid("FETCH", "1:*", "(FLAGS)")[1]
            return [part for part in found if isinstance(part, bytes) and b"FLAGS" in part]

    def make(self, folder: str, *, user: str) -> None:
        """Make a folder, or delete it and make it again: its numbers begin anew under another UIDVALIDITY."""
        with self._client(user) as client:
            client.delete(folder)
            assert client.create(folder)[0] == "OK"

    @contextmanager
    def _client(self, user: str) -> Iterator[imaplib.IMAP4_SSL]:
        context = ssl.create_default_context(cafile=str(self.ca))
        with imaplib.IMAP4_SSL("localhost", self.port, ssl_context=context) as client:
            client.login(user, PASSWORD)
            yield client


@contextmanager
def imap_server() -> Iterator[ImapServer]:
    with place("dovecot") as path:
        port, plain = free_port(), free_port()
        user = "nobody" if AS_ROOT else getpass.getuser()
        group = "nogroup" if AS_ROOT else getpass.getuser()
        _certificate(path)
        config = path / "dovecot.conf"
        config.write_text(CONFIG.format(path=path, user=user, group=group, port=port, plain=plain))
        (path / "passwd").write_text("".join(f"box{number}:{PASSWORD}\n" for number in range(200)))
        for each in path.iterdir():
            each.chmod(0o644)
        command = [program("dovecot"), "-F", "-c", str(config)]
        with running(Running("dovecot", command, port, path, as_nobody=True)) as server:
            yield ImapServer(server, port, plain, path / "cert.pem")


def _certificate(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=3650))
        .not_valid_after(today + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (path / "cert.pem").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (path / "key.pem").write_bytes(private)
