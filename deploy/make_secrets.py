"""Writes the secrets of docker-compose.yml into deploy/secrets/, once; what is there already stays as it is.

The directory is closed to everybody else; the files in it are readable, because containers read them under other
accounts.
"""

import base64
import secrets
from pathlib import Path

PLACE = Path(__file__).resolve().parent / "secrets"


def main() -> None:
    PLACE.mkdir(mode=0o700, exist_ok=True)
    keep("secret_key", secrets.token_urlsafe(48))
    keep("node_secret", secrets.token_urlsafe(32))
    keep("master_keys", f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}")
    postgres = keep("postgres_password", secrets.token_urlsafe(24))
    keep("database_url", f"postgresql://rdmp:{postgres}@postgres:5432/rdmp")
    redis = keep("redis_password", secrets.token_urlsafe(24))
    keep("redis_url", f"redis://:{redis}@redis:6379/0")
    print(f"Secrets are in {PLACE}: keep a copy of master_keys elsewhere, stored credentials open with nothing else.")


def keep(name: str, value: str) -> str:
    path = PLACE / name
    if not path.exists():
        path.write_text(value)
        path.chmod(0o444)
    return path.read_text()


if __name__ == "__main__":
    main()
