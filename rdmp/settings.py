"""The one settings file. Everything that differs between two installations is read from the environment."""

import logging
import warnings
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from celery.schedules import schedule
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from rdmp import environment as env

BASE_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = Path(env.text("RDMP_STATE_DIR", str(BASE_DIR / ".rdmp")))

# Development and demonstration on one machine, as `make run` starts it. Production refuses to start insecurely.
DEMO = env.flag("RDMP_DEMO")
DEBUG = env.flag("RDMP_DEBUG")
PUBLIC_URL = env.text("RDMP_PUBLIC_URL", f"http://127.0.0.1:{env.text('RDMP_PORT', '8000')}").rstrip("/")
HTTPS = PUBLIC_URL.startswith("https://")

SECRET_KEY = env.secret("RDMP_SECRET_KEY")
RDMP_MASTER_KEYS = env.secret("RDMP_MASTER_KEYS")
# What opens master keys that are written as id:kms:blob, and with which key of Alibaba Cloud it asks.
RDMP_KEY_UNWRAPPER = "assets.aliyun.kms.unwrap"
RDMP_KMS_REGION = env.text("RDMP_KMS_REGION", "cn-hangzhou")
RDMP_KMS_ENDPOINT = env.text("RDMP_KMS_ENDPOINT")
RDMP_KMS_KEY_ID = env.secret("RDMP_KMS_KEY_ID")
RDMP_KMS_KEY_SECRET = env.secret("RDMP_KMS_KEY_SECRET")
ALLOWED_HOSTS = [*env.words("RDMP_ALLOWED_HOSTS", urlsplit(PUBLIC_URL).hostname or ""), "127.0.0.1", "localhost"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

if not SECRET_KEY:
    # Commands that need neither database nor secrets (`rules --json`, `makemessages`) run without any set-up.
    SECRET_KEY = "unset"  # noqa: S105 - refused below by everything that serves
INSECURE = [
    problem
    for problem, present in {
        "RDMP_SECRET_KEY is missing or shorter than 32 characters": len(SECRET_KEY) < 32,
        "RDMP_MASTER_KEYS is missing": not RDMP_MASTER_KEYS,
        "RDMP_DEBUG is on": DEBUG and not DEMO,
        "RDMP_PUBLIC_URL is not https": not HTTPS and not DEMO,
    }.items()
    if present
]

INSTALLED_APPS = [
    "accounts",
    "timers",
    "notify",
    "assets",
    "incidents",
    "changes",
    "monitoring",
    "bastion",
    "costs",
    "reports",
    "rdmp",
    "channels",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "django_filters",
    "django_htmx",
    "drf_spectacular",
    "rest_framework",
    "simple_history",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.ScopeMiddleware",
    "accounts.language.LanguageMiddleware",
    "accounts.middleware.EntryMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "accounts.middleware.SecondFactorMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "accounts.middleware.DomainErrorMiddleware",
]

ROOT_URLCONF = "rdmp.urls"
ASGI_APPLICATION = "rdmp.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "accounts.context.page",
            ],
        },
    }
]


def database(url: str) -> dict[str, object]:
    """Django's description of one PostgreSQL database, from `postgresql://user:password@host:port/name?option=value`."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(f"DATABASE_URL must begin with postgresql://, not {parts.scheme}://")
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "accounts.postgres",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": {"connect_timeout": 10, "application_name": "rdmp", **options},
        "CONN_MAX_AGE": 0,  # threads come and go, and kept connections would pile up; those of requests: `rdmp.serving`
    }


DATABASES = {"default": database(env.secret("DATABASE_URL", "postgresql://127.0.0.1/rdmp"))}
REDIS_URL = env.secret("REDIS_URL", "redis://127.0.0.1:6379/0")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "c",
        "OPTIONS": {"pool_class": "rdmp.serving.Pool"},
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "live"},
    }
}

# --- people ---------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# The first one hashes; what an earlier one has hashed still opens, and is hashed anew when its person signs in.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
PASSWORD_RESET_TIMEOUT = 3600
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"

ACCOUNT_ADAPTER = "accounts.signin.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # the invitation's link has already proven the address
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # no mail to addresses that nobody invited
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS else "http"
# One limiter for every way of failing to sign in: password, code, reset.
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/5m/key",
    "reset_password": "10/m/ip,3/10m/key",
    "reset_password_from_key": "10/m/ip",
    "reauthenticate": "10/5m/user",
    "change_password": "5/m/user",
    "signup": "10/m/ip",
    "manage_email": "5/m/user",
    "confirm_email": "3/3m/key",
}
MFA_ADAPTER = "accounts.signin.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
MFA_TOTP_ISSUER = "RDMP"
MFA_TOTP_TOLERANCE = 1  # periods of 30 s: clocks of phones are off by some seconds
USERSESSIONS_TRACK_ACTIVITY = True
RDMP_REQUIRE_SECOND_FACTOR = env.flag("RDMP_REQUIRE_SECOND_FACTOR", default=True)

SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = env.text("RDMP_COOKIE_PREFIX", "rdmp") + "_session"
CSRF_COOKIE_NAME = env.text("RDMP_COOKIE_PREFIX", "rdmp") + "_csrf"
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"

# --- security headers -----------------------------------------------------------------------------------------------

SECURE_SSL_REDIRECT = HTTPS and env.flag("RDMP_SSL_REDIRECT", default=True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.flag("RDMP_BEHIND_PROXY") else None
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "style-src-attr": ["'unsafe-inline'"],  # ECharts and Tabler set style attributes from script
        "img-src": [SELF, "data:"],
        "connect-src": [SELF, "ws:" if not HTTPS else "wss:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- language and time ----------------------------------------------------------------------------------------------

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("Simplified Chinese")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"

# --- files ----------------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": STATE_DIR / "files"}},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_ROOT.exists()
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
# Recordings of the bastion: beside the other files, or in a bucket of OSS.
STORAGES["recordings"] = (
    {
        "BACKEND": "bastion.stores.Bucket",
        "OPTIONS": {
            "bucket": env.text("RDMP_RECORDINGS_BUCKET"),
            "region": env.text("RDMP_RECORDINGS_REGION", "cn-hangzhou"),
            "endpoint": env.text("RDMP_RECORDINGS_ENDPOINT"),
            "prefix": env.text("RDMP_RECORDINGS_PREFIX"),
            "access_key_id": env.secret("RDMP_RECORDINGS_KEY_ID"),
            "access_key_secret": env.secret("RDMP_RECORDINGS_KEY_SECRET"),
        },
    }
    if env.text("RDMP_RECORDINGS_BUCKET")
    else {"BACKEND": "bastion.stores.Disk", "OPTIONS": {"location": STATE_DIR / "files"}}
)
WHITENOISE_USE_FINDERS = not STATIC_ROOT.exists()
WHITENOISE_AUTOREFRESH = DEBUG
warnings.filterwarnings("ignore", message="No directory at")  # WhiteNoise, where files are served without collecting
DATA_UPLOAD_MAX_MEMORY_SIZE = 9 * 1024 * 1024  # A node brings pieces of recordings of up to 8 MB, with their links.
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- queue ----------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": "q:",
    "visibility_timeout": 3600,
    "socket_timeout": 10,
    "max_retries": 3,
}
CELERY_TASK_PUBLISH_RETRY = False  # a row in PostgreSQL remembers the work; the sweep brings it back
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_CREATE_MISSING_QUEUES = False
# The places that URLs are asked from: name[:label[:network[:country]]]; without a country it is this machine.
PROBE_POINTS = env.words("RDMP_PROBE_POINTS", "local-1,local-2,local-3")
QUEUES = ("default", "timers", "notify", "poll", "probe-results", "reports", "automation")
LONG_QUEUES = ("reports", "automation")  # a job of theirs may take minutes, and others wait behind it
FAR_POINTS = [  # workers of `monitoring.location` elsewhere listen to the queues of these
    parts[0] for parts in (text.split(":") for text in PROBE_POINTS) if len(parts) > 3 and parts[3] not in ("", "local")
]
CELERY_TASK_QUEUES: dict[str, dict[str, object]] = {
    name: {} for name in (*QUEUES, *(f"probe-{point}" for point in FAR_POINTS))
}
WORKERS = int(env.number("RDMP_WORKERS", 2))  # processes of each worker
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_BEAT_SCHEDULE = {
    name: {"task": name, "schedule": schedule(seconds), "options": {"expires": max(seconds * 2, 5)}}
    for name, seconds in {
        "timers.sweep": 1.0,
        "notify.sweep": 5.0,
        "notify.ship_audit": 5.0,
        "incidents.ask_for_receipts": 10.0,
        "incidents.watch_ways_out": 15.0,
        "incidents.note_desk": 20.0,
        "bastion.sweep": 10.0,
        "bastion.watch_rights": 1.0,
        "bastion.follow_networks": 300.0,
        "bastion.follow_hardening": 30.0,
        "bastion.read_logins": 60.0,
        "bastion.purge": 3600.0,
        "monitoring.poll": 1.0,
        "monitoring.housekeeping": 15.0,
        "monitoring.end_rounds": 5.0,
        "monitoring.watch_platform": 30.0,
        "monitoring.pack": 60.0,
        "monitoring.forget": 3600.0,
        "monitoring.send_out": 5.0,
        "monitoring.follow_inventory": 60.0,
        "monitoring.outlook": 21600.0,
        "monitoring.read_accounts": 30.0,
        "monitoring.expiry": 600.0,
        "assets.sync_due": 60.0,
        "changes.read_trails": 15.0,
        "changes.follow_contracts": 600.0,
        "costs.read_bills": 15.0,
        "costs.issue": 300.0,
        "costs.find_savings": 60.0,
        "reports.sweep": 15.0,
        "incidents.watch_duty": 60.0,
        "incidents.sweep_inbound": 15.0,
        "incidents.poll_mail": 30.0,
        "incidents.forget_inbound": 3600.0,
        "accounts.housekeeping": 3600.0,
        "timers.housekeeping": 3600.0,
    }.items()
}
CELERY_BEAT_SCHEDULE |= {
    f"monitoring.stamp {queue}": {
        "task": "monitoring.stamp",
        "args": (queue,),
        "schedule": schedule(15.0),
        "options": {"expires": 900.0 if queue in LONG_QUEUES else 60.0, "queue": queue},
    }
    for queue in QUEUES
}

# --- messages -------------------------------------------------------------------------------------------------------

EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend"
    if env.text("EMAIL_HOST")
    else "django.core.mail.backends.filebased.EmailBackend"
)
EMAIL_FILE_PATH = STATE_DIR / "mail"
EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_PORT = int(env.number("EMAIL_PORT", 465))
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.secret("EMAIL_HOST_PASSWORD")
EMAIL_USE_SSL = env.flag("EMAIL_USE_SSL", default=True)
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "RDMP <service@localhost>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
SERVICE_ADDRESS = env.text("RDMP_SERVICE_ADDRESS")  # answers to our mails go to name+mark@ of it
NOTIFY_DINGTALK_BASE = env.text("NOTIFY_DINGTALK_BASE", "https://oapi.dingtalk.com")
NOTIFY_WECOM_BASE = env.text("NOTIFY_WECOM_BASE", "https://qyapi.weixin.qq.com")
NOTIFY_ALLOWED_HOSTS = env.words("NOTIFY_ALLOWED_HOSTS")

# SOW 附件一 §4: shown on every page. The SOW spells the mail domain in two ways, so it is a setting (Q12).
EMERGENCY_NAME = env.text("RDMP_EMERGENCY_NAME", "济通科技监控中心")
EMERGENCY_PHONE = env.text("RDMP_EMERGENCY_PHONE", "0571-56337786")
EMERGENCY_EMAIL = env.text("RDMP_EMERGENCY_EMAIL", "service@trisfal.com")
PROVIDER_NAME = env.text("RDMP_PROVIDER_NAME", "杭州济通科技斯法科技有限公司")
PROVIDER_NAME_EN = env.text("RDMP_PROVIDER_NAME_EN") or PROVIDER_NAME  # on English reports

# --- incidents ------------------------------------------------------------------------------------------------------

INCIDENT_CLOSING_DAYS = int(env.number("RDMP_CLOSING_DAYS", 5))  # working days; a contract may say otherwise
INCIDENT_RATING_DAYS = int(env.number("RDMP_RATING_DAYS", 7))  # so long after closing the customer may change the score

SSH_BEHIND_NODES = "bastion.services.dialling.behind_node"  # how `assets` dials a host that only a node reaches
NODE_ERRANDS = {"checks": "monitoring.services.node_checks"}  # whose what nodes do besides sessions is
NODE_CARRIER = "bastion.services.errands.carrier_of"  # how `monitoring` learns which node of a customer carries checks
ATTESTATION_DAYS = int(env.number("RDMP_ATTESTATION_DAYS", 14))  # so long a named contact may answer

# --- reports --------------------------------------------------------------------------------------------------------

ACCIDENT_REPORT_WORKDAYS = int(env.number("RDMP_ACCIDENT_REPORT_WORKDAYS", 3))  # after the day on which it was opened
REPORT_LINK_DAYS = int(env.number("RDMP_REPORT_LINK_DAYS", 14))  # the link of a mail opens a report for so long

# --- monitoring -----------------------------------------------------------------------------------------------------

CHECK_PERIOD_S = env.number("RDMP_CHECK_PERIOD_S", 0)  # shortens every check period; 0 keeps the rules' own
TRAIL_PERIOD_S = env.number("RDMP_TRAIL_PERIOD_S", 120)  # the audit trail of a cloud account is read so often
FLAP_CHANGES = int(env.number("RDMP_FLAP_CHANGES", 6))  # an alert that changes so often within the window flaps
FLAP_WINDOW_S = int(env.number("RDMP_FLAP_WINDOW_S", 3600))
FLAP_QUIET_S = int(env.number("RDMP_FLAP_QUIET_S", 1800))  # flapping is over after so long without a change
RETENTION_DAYS = int(env.number("RDMP_RETENTION_DAYS", 35))  # samples older than this are no longer taken in
POINTS_DAYS = int(env.number("RDMP_POINTS_DAYS", 366))  # how long every sample is kept, unless a customer's row differs
REMOTE_SAMPLES_PER_MINUTE = int(env.number("RDMP_REMOTE_SAMPLES_PER_MINUTE", 1_200_000))  # of one token's remote write
REMOTE_SERIES = int(env.number("RDMP_REMOTE_SERIES", 100_000))  # of a customer; more are added by nobody
REMOTE_SOURCES = int(env.number("RDMP_REMOTE_SOURCES", 2_000))  # names that a customer's remote write may come under
REMOTE_WRITE_URL = env.secret("RDMP_REMOTE_WRITE_URL")  # a store outside that gets all samples, too
REMOTE_READ_URL = env.secret("RDMP_REMOTE_READ_URL").rstrip("/")  # the same one's query API: graphs are read from there
REMOTE_WRITE_BACKLOG = int(env.number("RDMP_REMOTE_WRITE_BACKLOG", 50_000_000))  # samples that may wait for it
STEPS_DAYS = int(env.number("RDMP_STEPS_DAYS", 800))  # how long five-minute and hourly figures are kept
PROBE_CONTROL = env.words("RDMP_PROBE_CONTROL")  # host:port that answer as long as this machine is online
RDAP_BOOTSTRAP = env.text("RDMP_RDAP_BOOTSTRAP", "https://data.iana.org/rdap/dns.json")
HEARTBEAT_URL = env.text("RDMP_HEARTBEAT_URL")  # called every minute while the platform is well
METRICS_TOKEN = env.secret("RDMP_METRICS_TOKEN")  # who may read /metrics; unset: only this machine
PLATFORM_NETWORKS = env.words("RDMP_PLATFORM_NETWORKS", "own")  # closed to collectors; own: those of this machine
AGENT_TOKEN = env.secret("RDMP_AGENT_TOKEN")
AGENT_URL = env.text("RDMP_AGENT_URL", f"http://127.0.0.1:{env.text('RDMP_AGENT_PORT', '9101')}/metrics")
DEMO_PORT = int(env.number("RDMP_DEMO_PORT", 9180))
DEMO_CLOUD_PORT = int(env.number("RDMP_DEMO_CLOUD_PORT", 9181))
DEMO_SSH_PORT = int(env.number("RDMP_DEMO_SSH_PORT", 9183))
DEMO_ROBOTS_PORT = int(env.number("RDMP_DEMO_ROBOTS_PORT", 9182))
LOCAL_URL = f"http://127.0.0.1:{env.text('RDMP_PORT', '8000')}"

# --- bastion --------------------------------------------------------------------------------------------------------

NODE_SECRET = env.secret("RDMP_NODE_SECRET")  # by which the node beside the platform enrols; unset: there is none

# --- credentials ----------------------------------------------------------------------------------------------------

CREDENTIAL_DAYS = {  # so old may a secret become before it should be replaced; 0: it is never due
    "host": int(env.number("RDMP_ROTATE_HOST_DAYS", 90)),
    "database": int(env.number("RDMP_ROTATE_DATABASE_DAYS", 180)),
    "key_pair": int(env.number("RDMP_ROTATE_KEY_PAIR_DAYS", 365)),
    "console": int(env.number("RDMP_ROTATE_CONSOLE_DAYS", 90)),
    "access_key": int(env.number("RDMP_ROTATE_ACCESS_KEY_DAYS", 90)),
}
KEY_GRACE_HOURS = env.number("RDMP_KEY_GRACE_HOURS", 72)  # so long a disabled AccessKey can still be enabled again

# --- API ------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api_access.TokenAuthentication",
        "accounts.api_access.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.api_access.MayUseApi"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser", "rest_framework.parsers.MultiPartParser"],
    "DEFAULT_PAGINATION_CLASS": "accounts.api_access.CursorPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["accounts.api_access.PersonThrottle"],
    "DEFAULT_THROTTLE_RATES": {"person": "600/min"},
    "EXCEPTION_HANDLER": "accounts.api.problem_details",
    "PAGE_SIZE": 50,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "RDMP API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "DEFAULT_GENERATOR_CLASS": "accounts.schema.ApiSchemaGenerator",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_PUBLIC": True,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "SeverityEnum": "accounts.models.Severity",
        "ReportKindEnum": "reports.models.ReportKind",
        "SeverityNameEnum": "monitoring.rules_api.SEVERITIES",
        "AssetKindEnum": "assets.models.Kind",
        "ClockKindEnum": "incidents.models.Clock.Kind",
        "BreachCodeEnum": "incidents.models.Clock.BreachCode",
        "IncidentStateEnum": "incidents.models.IncidentState",
        "IncidentKindEnum": "incidents.models.IncidentKind",
        "IncidentSourceEnum": "incidents.models.Incident.Source",
        "TrailVerdictEnum": "changes.models.TrailVerdict",
        "FaultVerdictEnum": "incidents.models.FaultDecision.Verdict",
        "RequestRiskEnum": "incidents.models.ServiceRequest.Risk",
        "ChangeRiskEnum": "changes.models.ChangeRisk",
        "ChangeStateEnum": "changes.models.ChangeState",
        "ChangeKindEnum": "changes.models.ChangeKind",
        "ChangeWindowKindEnum": "changes.models.ChangeWindow.Kind",
        "ChangeFilePurposeEnum": "changes.models.ChangeFile.Purpose",
        "AccountPurposeEnum": "assets.models.AccountPurpose",
        "DutyKindEnum": "changes.models.DutyKind",
        "BillChargeEnum": "costs.models.Charge",
        "CostAnomalyStateEnum": "costs.models.CostAnomaly.State",
        "ProposalKindEnum": "costs.models.ProposalKind",
        "ProposalStateEnum": "costs.models.ProposalState",
    },
}

SIMPLE_HISTORY_HISTORY_CHANGE_REASON_USE_TEXT_FIELD = True
SILENCED_SYSTEM_CHECKS: list[str] = []


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """A no to a node is an answer like any other: what a person works on is asked by one."""
    return not (getattr(record, "status_code", 0) == 403 and "/bastion/node/" in record.getMessage())


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"answers": {"()": "django.utils.log.CallbackFilter", "callback": is_worth_a_line}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("RDMP_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"filters": ["answers"]},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "aliyunsdkcore": {"level": "WARNING"},
        "uvicorn.access": {"level": "WARNING"},
        "weasyprint": {"level": "ERROR"},  # what its SVG part does not know is no news
        "weasyprint.progress": {"level": "INFO", "propagate": False},  # a line per page; `reports.pdf` listens to it
    },
}
