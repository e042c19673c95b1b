"""``curator dagster init``: a folder for Dagster, set up for curations."""

from __future__ import annotations

import json
import shlex
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import click

from curator_core.errors import ConfigError, MissingDependencyError
from curator_core.storage import make_folder, publish_text
from curator_dagster.cli.prune import prune_command

PASSWORD_VARIABLE = "DAGSTER_PG_PASSWORD"  # noqa: S105 - the name of a variable
"""Environment variable that Dagster reads the password of its PostgreSQL database from."""

_SQLITE = """\
# The events of a batch of items are stored in one transaction, which Dagster's own log on SQLite does not do.
event_log_storage:
  module: curator_dagster
  class: BatchedSqliteEventLogStorage
  config:
    # Dagster takes only absolute paths here: change it when you move this folder.
    base_dir: {base_dir}
"""

_POSTGRES = """\
# Runs, events and schedules are kept in PostgreSQL, which many processes can write at once. The events of a batch
# of items are stored in one statement, which Dagster's own log does not always do.
event_log_storage:
  module: curator_dagster
  class: BatchedPostgresEventLogStorage
  config: &postgres
    postgres_db:
      # The driver that dagster-postgres brings; SQLAlchemy's own choice is another since 2.1.
      scheme: postgresql+psycopg2
      hostname: {hostname}
      port: {port}
      username: {username}
      # From the environment: a secret does not belong into a file.
      password:
        env: {password_variable}
      db_name: {db_name}
      params: {params}

run_storage:
  module: dagster_postgres.run_storage
  class: PostgresRunStorage
  config: *postgres

schedule_storage:
  module: dagster_postgres.schedule_storage
  class: PostgresScheduleStorage
  config: *postgres
"""

_SETTINGS = """\
# Dagster's settings, made for curations by `curator dagster init`. Dagster uses them when DAGSTER_HOME is this folder.

{storage}
concurrency:
  runs:
    # A run keeps all CPUs busy by itself; a second one, so that something short need not wait for something long.
    max_concurrent_runs: 2

run_queue:
  # What is launched starts within a second; Dagster looks every five seconds otherwise.
  dequeue_interval_seconds: 1

run_monitoring:
  # A run that does not start, or does not end when it is told to, is marked as failed or canceled.
  enabled: true
  # Loading scientific libraries from a network file system takes longer than Dagster's three minutes.
  start_timeout_seconds: 600
  # How soon that is noticed; Dagster looks every two minutes otherwise.
  poll_interval_seconds: 30

run_retries:
  # A run whose process was killed is executed again, where it ended; one that failed because of its items is not.
  enabled: true
  max_retries: 3
  retry_on_asset_or_op_failure: false

sensors:
  # A sensor that lists a slow folder does not hold up the others.
  use_threads: true
  num_workers: 4

telemetry:
  # Nothing about your runs is sent to anyone.
  enabled: false

retention:
  # What sensors and schedules did is kept for a month, and for two days that there was nothing to do. What runs left
  # is removed by `curator dagster prune --older-than 30d`.
  sensor: &ticks
    purge_after_days: {{skipped: 2, success: 30, failure: 30, started: 30}}
  schedule: *ticks
  auto_materialize: *ticks

nux:
  # No invitation to a mailing list over the first page.
  enabled: false
"""


@click.group("dagster")
def dagster_group() -> None:
    """Set up Dagster for curations, and look after it."""


dagster_group.add_command(prune_command)


@dagster_group.command(
    "init",
    epilog="\b\nExamples:\n  curator dagster init dagster_home\n"
    "  curator dagster init dagster_home --postgres postgresql://curator@db.example.org/dagster",
)
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--postgres",
    metavar="URL",
    help=f"Keep everything in this PostgreSQL database; its password comes from ${PASSWORD_VARIABLE}.",
)
@click.option("--force", is_flag=True, help="Replace a dagster.yaml that is there.")
def init_command(*, directory: Path, postgres: str | None, force: bool) -> None:
    """Write DIR/dagster.yaml, which makes DIR a home for Dagster.

    Each of its settings says why it is there.
    """
    home = directory.absolute()
    path = home / "dagster.yaml"
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already; --force replaces it.")
    storage = _postgres(postgres) if postgres is not None else _sqlite(home)
    make_folder(home)
    publish_text(_SETTINGS.format(storage=storage), path)
    click.echo(f"Wrote {path}. Go on with:\n  export DAGSTER_HOME={shlex.quote(str(home))}")
    if postgres is not None:
        click.echo(f"  read -rs {PASSWORD_VARIABLE} && export {PASSWORD_VARIABLE}")
    click.echo("  dagster dev -m your_module")


def _sqlite(home: Path) -> str:
    return _SQLITE.format(base_dir=json.dumps(str(home / "history" / "runs"), ensure_ascii=False))


def _postgres(url: str) -> str:
    if find_spec("dagster_postgres") is None:
        raise MissingDependencyError.of("dagster-postgres", "postgres", "--postgres")
    parts = _parsed(url)
    texts = {
        "hostname": parts.hostname,
        "username": unquote(parts.username or ""),
        "db_name": unquote(parts.path.strip("/")),
        "params": dict(parse_qsl(parts.query)),
        "password_variable": PASSWORD_VARIABLE,
    }
    quoted = {name: json.dumps(text, ensure_ascii=False) for name, text in texts.items()}  # JSON is YAML
    return _POSTGRES.format(port=parts.port or 5432, **quoted)


def _parsed(url: str) -> SplitResult:
    wanted = "Write postgresql://USER@HOST:PORT/DATABASE."
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname and parts.username and parts.path.strip("/")) and parts.port != 0
    except ValueError:  # a port that is no number; the URL is not shown, as a password may be in it
        is_complete = False
    if is_complete and (parts.password is not None or any("password" in name for name, _ in parse_qsl(parts.query))):
        raise ConfigError(f"--postgres: leave the password out, it is not stored; set ${PASSWORD_VARIABLE} instead.")
    if not is_complete or parts.scheme not in ("postgresql", "postgres"):
        raise ConfigError(f"--postgres: this is no URL of a PostgreSQL database. {wanted}")
    return parts
