"""All settings, read from the environment or from `.env` beside manage.py.

`.env.example` explains every variable.
"""

from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_network
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"  # the database, cache and logs of a copy that runs from its own folder

env = environ.Env()
env.read_env(BASE_DIR / ".env")

# --- Core ---------------------------------------------------------------------------------------------

try:
    VERSION = version("webhookhub")
except PackageNotFoundError:  # run from the checkout, which is the usual way
    VERSION = "0.1.0"

DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY", "")
if not SECRET_KEY:
    if not DEBUG:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set: put a long random value into the environment or into .env "
            "(python -c 'import secrets; print(secrets.token_urlsafe(50))')."
        )
    SECRET_KEY = "only-for-debugging-on-this-machine-" + "x" * 32

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
ROOT_URLCONF = "webhookhub.urls"
WSGI_APPLICATION = "webhookhub.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SITE_NAME = "webhookhub"
# Where the pages are reached, for links in mails, which are written far from any request.
SITE_URL = env.str("SITE_URL", f"http://localhost:{env.str('PORT', '8000')}").rstrip("/")

INSTALLED_APPS = [
    "webhookhub",
    "docs_tab",
    "legacy_posts",
    "deliveries",  # before django_q: our qcluster command takes the place of its
    "configurations",
    "sales",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_q",
    "import_export",
    "auditlog",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
]

MIDDLEWARE = [
    # These before whatever makes an answer by itself, so that static files, redirects and errors have their headers too.
    "csp.middleware.CSPMiddleware",
    "webhookhub.middleware.HeadersMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "webhookhub.probes.ProbeMiddleware",  # before the rest: a probe comes in plain http, by address, without a session
    "webhookhub.middleware.ClientAddressMiddleware",
    "webhookhub.logs.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "sales.middleware.AuditMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "webhookhub.second_factor.SecondFactorMiddleware",
    "webhookhub.view_as.ViewAsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "sales.middleware.SellerLocaleMiddleware",
    "webhookhub.middleware.NoLoginInAPartMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- Database -----------------------------------------------------------------------------------------

DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'webhookhub.sqlite3'}")}
_database = DATABASES["default"]
ON_SQLITE = _database["ENGINE"].endswith("sqlite3")
# Above 0: the ORM broker calls close_old_connections in the web process too (enqueue 186/s, not 3,500).
_database["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", 60)
SQLITE_SYNCHRONOUS = env.str("SQLITE_SYNCHRONOUS", "FULL").upper()
if ON_SQLITE:
    VAR_DIR.mkdir(exist_ok=True)
    _database["ENGINE"] = "webhookhub.sqlite"  # Django's, whose writers take turns within milliseconds
    # IMMEDIATE: 0 locked errors where DEFERRED had 1,976 in 15 s. FULL: a commit waits for the disk, so that no power
    # loss takes a sale; `writing.soon` says which transactions of the worker need not wait.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": f"PRAGMA journal_mode=WAL; PRAGMA synchronous={SQLITE_SYNCHRONOUS};",
    }
else:
    _database["CONN_HEALTH_CHECKS"] = True
    # The far end of a connection that vanished without a word is given up after 25 s. At the server that is a machine
    # of ours, whose locks on the posts would stand in the way of all others for hours.
    _gone = {
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 3,
        "tcp_user_timeout": 25_000,
    }
    # No JIT: it costs hundreds of ms where it takes a short query for a long one.
    _database["OPTIONS"] = {
        "connect_timeout": 5,
        **{name.replace("tcp_keep", "keep"): value for name, value in _gone.items()},
        "options": " ".join(f"-c {name}={value}" for name, value in ({"jit": "off"} | _gone).items()),
    } | _database.get("OPTIONS", {})

# --- Queue --------------------------------------------------------------------------------------------

# "orm" keeps the queue in the database; "redis://host:port/db" keeps it in Redis.
BROKER_URL = env.str("BROKER_URL", "orm")
ON_REDIS = BROKER_URL.startswith(("redis://", "rediss://"))
if not ON_REDIS and BROKER_URL != "orm":
    raise ImproperlyConfigured(f"BROKER_URL is {BROKER_URL!r}: write orm, or redis://host:port/db.")

Q_CLUSTER = {
    "name": env.str("CLUSTER_NAME", "webhookhub"),
    "workers": env.int("WORKERS", 2),
    "timeout": 60,  # seconds; a drain ends by itself after DRAIN_BUDGET and twice the time limit of a post
    "retry": 120,  # seconds; above the wait in the local queue and the timeout
    "ack_failures": True,  # the rows are tried again, not the job
    "max_attempts": 1,
    "queue_limit": 1,  # no hoarding: the pusher of a busy cluster kept wake-ups from idle ones
    "bulk": 1,
    "save_limit": -1,  # results are not kept: six times the jobs a second
    "catch_up": False,
    "label": _("Queue"),
}
# Seconds without a job beginning, while there is work, after which a cluster is held to be frozen and is
# restarted. Longer than the longest job: the budget of a drain and the time limit of its last post.
WATCHDOG_LIMIT = env.float("WATCHDOG_LIMIT", 45.0)
if ON_REDIS:
    # Without timeouts a frozen Redis blocks for long; 1 s is the least, since the pusher waits 1 s in BLPOP.
    Q_CLUSTER["redis"] = BROKER_URL + (
        ("&" if "?" in BROKER_URL else "?") + "socket_connect_timeout=1&socket_timeout=3"
    )
else:
    Q_CLUSTER |= {"orm": "default", "poll": 0.05}  # seconds
    if ON_SQLITE:
        Q_CLUSTER |= {"broker_class": "deliveries.queue.SqliteQueue", "poll": 0.01}  # its looks are cheap

_cache = (
    {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": BROKER_URL}
    if ON_REDIS
    else {
        "BACKEND": "webhookhub.cache.FileCache",
        "LOCATION": env.str("CACHE_DIR", str(VAR_DIR / "cache")),
        # Beyond these it drops any third of them, so also who is locked out: more than a flood of logins can write.
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
)
# Shared by all processes: django-q2 keeps its cluster's state here, allauth its lockouts, we our limits.
CACHES = {"default": _cache | {"KEY_PREFIX": Q_CLUSTER["name"]}}

# --- Delivery -----------------------------------------------------------------------------------------

DELIVERY_CONNECT_TIMEOUT = env.float("DELIVERY_CONNECT_TIMEOUT", 5.0)  # seconds
DELIVERY_DEADLINE = env.float(
    "DELIVERY_DEADLINE", 15.0
)  # seconds for the whole request, name look-up to last byte
DELIVERY_MAX_RESPONSE = 64 * 1024  # bytes of the answer that are kept; its headers are capped alike
# After the first try: five tries in all, which outlive a deploy and a night.
DELIVERY_RETRY_AFTER = [
    timedelta(seconds=seconds) for seconds in env.list("DELIVERY_RETRY_AFTER", float, [15, 300, 3600, 43200])
]
DELIVERY_RETRY_JITTER = 0.1  # each wait is lengthened or shortened by up to this share
DELIVERY_RETRY_AFTER_CAP = timedelta(hours=2)  # the longest Retry-After that is honoured
# An endpoint that fails as a whole: after so many failures in a row, of so many sales or carts at least, its posts wait
# together, and one of them goes after each wait, which doubles up to the longest.
DELIVERY_CIRCUIT_FAILURES = env.int("DELIVERY_CIRCUIT_FAILURES", 5)
DELIVERY_CIRCUIT_SALES = 3
DELIVERY_CIRCUIT_WAIT = timedelta(seconds=env.float("DELIVERY_CIRCUIT_WAIT", 10.0))
DELIVERY_CIRCUIT_LONGEST = timedelta(seconds=60)
# Posts a second once it works again, doubled every five seconds.
DELIVERY_CIRCUIT_RATE = env.float("DELIVERY_CIRCUIT_RATE", 5.0)
DELIVERY_DRAIN_BUDGET = 10.0  # seconds after which a job hands on to the next
# Of a claim, renewed as long as anything of it is unfinished. The time limit of one post, and some, fits in.
DELIVERY_LEASE = timedelta(seconds=env.float("DELIVERY_LEASE", 45.0))
# Posts under way at once in each worker process, while answers take long. docs/fairness.md has the rules.
DELIVERY_SLOTS = env.int("DELIVERY_SLOTS", 48)
DELIVERY_SLOTS_OF_A_CONFIGURATION = env.int("DELIVERY_SLOTS_OF_A_CONFIGURATION", 4)
DELIVERY_SLOTS_WHILE_IDLE = env.int(
    "DELIVERY_SLOTS_WHILE_IDLE", 8
)  # of a configuration, while slots are free
DELIVERY_SLOTS_OF_A_PLACE = env.int("DELIVERY_SLOTS_OF_A_PLACE", 8)  # of one account at one host
# Shares of the slots that posts of a kind may take, so that some are left for first tries.
DELIVERY_RETRY_SHARE = env.float("DELIVERY_RETRY_SHARE", 0.5)
DELIVERY_BULK_SHARE = env.float("DELIVERY_BULK_SHARE", 0.25)
DELIVERY_SLOW_SHARE = env.float("DELIVERY_SLOW_SHARE", 0.25)
# Private networks that may be posted to all the same, e.g. 10.1.0.0/16. None, unless set.
DELIVERY_ALLOWED_NETWORKS = [ip_network(net) for net in env.list("DELIVERY_ALLOWED_NETWORKS", default=[])]
DELIVERY_ALLOWED_PORTS = env.list("DELIVERY_ALLOWED_PORTS", int, [80, 443, 3000, 5678, 8080, 8443])
if DEBUG and (receiver_port := env.int("RECEIVER_PORT", 0)):
    DELIVERY_ALLOWED_PORTS.append(receiver_port)  # the demo receiver of `make run`
DELIVERY_USER_AGENT = f"webhookhub/{VERSION}"
# The addresses that posts come from, for the documentation: receivers let them through their firewall.
DELIVERY_SOURCE_ADDRESSES = env.list("DELIVERY_SOURCE_ADDRESSES", default=[])
# A PEM file of authorities to trust beside the usual ones, e.g. a company's own. Empty: only the usual.
DELIVERY_CA_FILE = env.str("DELIVERY_CA_FILE", "")

# False: nothing is posted, whatever waits. For a copy to try things out, with what was real elsewhere.
SEND_POSTS = env.bool("SEND_POSTS", True)

# Days that what is finished stays in the History, with its attempts. 0: for ever.
HISTORY_RETENTION_DAYS = env.int("HISTORY_RETENTION_DAYS", 90)

# --- Mail ---------------------------------------------------------------------------------------------

vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "webhookhub <webhookhub@localhost>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
# Where people ask for help: at the foot of every page and in every mail. Empty: nowhere.
SUPPORT_ADDRESS = env.str("SUPPORT_ADDRESS", "support@localhost" if DEBUG else "")
EMAIL_TIMEOUT = 10  # seconds

# --- Accounts -----------------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = ["sales.accounts.AccountBackend"]
SESSION_ENGINE = "sales.sessions"  # all of a user's can be ended at once
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
ACCOUNT_ADAPTER = "sales.accounts.AccountAdapter"  # closes the sign-up: accounts come from staff
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_USER_MODEL_USERNAME_FIELD = "username"
ACCOUNT_EMAIL_VERIFICATION = "none"  # the address was proved by the invitation that staff sent to it
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_NOTIFICATIONS = True  # of a changed password, to its owner
# Of all tries with one account, wherever they come from, and of all from one address, right or wrong.
ACCOUNT_RATE_LIMITS = {"login": "30/m/ip", "login_failed": "10/m/ip,5/5m/key"}
MFA_ADAPTER = "webhookhub.second_factor.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate": "webhookhub.second_factor.SignInForm",
    "reauthenticate": "webhookhub.second_factor.ConfirmForm",
    "activate_totp": "webhookhub.second_factor.SetUpForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_TOLERANCE = (
    1  # a code is good half a minute before its time and after it: clocks differ, people type slowly
)
MFA_ALLOW_UNVERIFIED_EMAIL = True  # an address was proved by the invitation, or is staff's
# Whether staff must have a second factor. Who has none is led to where it is set up.
STAFF_NEEDS_SECOND_FACTOR = env.bool("STAFF_NEEDS_SECOND_FACTOR", not DEBUG)
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "configurations:list"
LOGOUT_REDIRECT_URL = "account_login"

# --- Languages and time -------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("pt-br", _("Brazilian Portuguese")), ("es", _("Spanish"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- Static files -------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = env.path("STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))()
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# --- Security -----------------------------------------------------------------------------------------

# Keys for the secrets and tokens in the database, newest first: the first encrypts, all decrypt.
FIELD_ENCRYPTION_KEYS = env.list("FIELD_ENCRYPTION_KEY", default=[])
if not FIELD_ENCRYPTION_KEYS:
    if not DEBUG:
        raise ImproperlyConfigured(
            "FIELD_ENCRYPTION_KEY, which encrypts the signing secrets and tokens in the database, is not set: make "
            "one with python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())' "
            "and keep it safe, since without it they cannot be read again."
        )
    FIELD_ENCRYPTION_KEYS = ["b25seS1mb3ItZGVidWdnaW5nLW9uLXRoaXMtcGMtMDA="]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
FILE_UPLOAD_HANDLERS = [
    "webhookhub.uploads.NoMoreThanThat",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
X_FRAME_OPTIONS = "DENY"
if not DEBUG:
    DEFAULT_EXCEPTION_REPORTER = "webhookhub.errors.DiscreetReporter"
SECURE_REFERRER_POLICY = "same-origin"
# TLS is the usual case; a copy on plain http (a try on one's own machine) sets DEBUG.
SECURE_COOKIES = env.bool("SECURE_COOKIES", not DEBUG)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_NAME = "__Host-session" if SECURE_COOKIES else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if SECURE_COOKIES else "csrftoken"
LANGUAGE_COOKIE_NAME = "__Host-language" if SECURE_COOKIES else "language"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True  # our scripts read no cookie
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600  # seconds
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", SECURE_COOKIES)
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", 365 * 24 * 3600 if SECURE_COOKIES else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_COOKIES
BEHIND_PROXY = env.bool("BEHIND_PROXY", False)  # one of ours, which writes the X-Forwarded-… headers itself
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


def _limit(name: str, default: str) -> tuple[int, int]:
    """(times, seconds) of "20/60": 20 times within 60 s. "0": no limit, which is 0 times."""
    text = env.str(name, default)
    times, slash, seconds = text.strip().partition("/")
    if text.strip() == "0":
        return 0, 0
    if not (slash and times.isdecimal() and seconds.isdecimal() and int(times) and int(seconds)):
        raise ImproperlyConfigured(
            f"{name} is {text!r}: write how often, and within how many seconds, such as {default}; or 0 for no limit."
        )
    return int(times), int(seconds)


# How often one user may do it (sales.limits).
LIMITS = {
    "send_test": _limit("LIMIT_SEND_TEST", "20/60"),
    "reprocess": _limit("LIMIT_REPROCESS", "60/60"),  # one post
    "bulk": _limit("LIMIT_BULK", "20/60"),  # many at once; pausing and stopping them too
    "keys": _limit("LIMIT_KEYS", "20/60"),  # show or rotate a secret or the token
    "export": _limit("LIMIT_EXPORT", "10/60"),
    "import": _limit("LIMIT_IMPORT", "20/60"),
    "check_url": _limit("LIMIT_CHECK_URL", "120/60"),  # while a URL is typed
}

# Of a file that is imported in the admin; the commands take files of any size.
IMPORT_MOST_BYTES = env.int("IMPORT_MOST_BYTES", 5 * 1024 * 1024)
IMPORT_MOST_ROWS = env.int("IMPORT_MOST_ROWS", 10_000)  # of transactions
IMPORT_MOST_CONFIGURATIONS = env.int("IMPORT_MOST_CONFIGURATIONS", 2_000)  # rows

# --- Audit log ----------------------------------------------------------------------------------------

# What is logged is said beside the models (sales.audit.track), who it was by sales.middleware.AuditMiddleware.
AUDITLOG_STORE_JSON_CHANGES = True
AUDITLOG_USE_FK_STRING_REPRESENTATION = True  # by name, which still reads when the row is gone

# --- Monitoring ---------------------------------------------------------------------------------------

# What Prometheus has to send to read /metrics, as a bearer token. Empty: there is no such page.
METRICS_TOKEN = env.str("METRICS_TOKEN", "")

# --- Logging ------------------------------------------------------------------------------------------

LOG_FORMAT = env.str("LOG_FORMAT", "plain")
if LOG_FORMAT not in ("plain", "json"):
    raise ImproperlyConfigured(f"LOG_FORMAT is {LOG_FORMAT!r}: write plain or json.")
LOG_POSTS = env.bool("LOG_POSTS", True)  # a line for each try of a post
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"about": {"()": "webhookhub.logs.About"}},
    "formatters": {"plain": {"()": "webhookhub.logs.Plain"}, "json": {"()": "webhookhub.logs.Json"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["about"]}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        "django-q": {"level": "WARNING"},  # two INFO lines a job otherwise
        "urllib3": {"level": "ERROR"},
    },
}
