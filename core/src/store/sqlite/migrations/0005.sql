-- Webhooks, and what is delivered to them: queue and log in one.

-- `sealed`: where to, with what, and the secrets that sign. `seen`: the log was looked through up to this number.
CREATE TABLE webhooks (
    org            TEXT NOT NULL,
    environment    INTEGER NOT NULL,
    id             TEXT NOT NULL,
    enabled        INTEGER NOT NULL,
    events_json    TEXT NOT NULL,
    sealed         BLOB NOT NULL,
    secret_version INTEGER NOT NULL,
    seen           INTEGER NOT NULL,
    failing_since  INTEGER,
    failed_at      INTEGER,
    disabled_json  TEXT,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    PRIMARY KEY (org, environment, id)
) STRICT;

CREATE TABLE deliveries (
    org          TEXT NOT NULL,
    environment  INTEGER NOT NULL,
    id           TEXT NOT NULL,
    webhook_id   TEXT NOT NULL,
    seq          INTEGER NOT NULL,
    event        TEXT NOT NULL,
    payload_json TEXT NOT NULL,
    status       TEXT NOT NULL,
    attempts     INTEGER NOT NULL,
    tries        INTEGER NOT NULL,
    next_at      INTEGER NOT NULL,
    lease_owner  TEXT,
    lease_boot   TEXT,
    lease_until  INTEGER,
    http_status  INTEGER,
    error_code   TEXT,
    created_at   INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    PRIMARY KEY (org, environment, id),
    FOREIGN KEY (org, environment, webhook_id) REFERENCES webhooks (org, environment, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX deliveries_due ON deliveries (org, environment, webhook_id, next_at) WHERE status = 'queued';
CREATE UNIQUE INDEX deliveries_by_webhook ON deliveries (org, environment, webhook_id, seq);
CREATE INDEX deliveries_by_age ON deliveries (created_at) WHERE status <> 'queued';

CREATE TRIGGER webhooks_made_closed AFTER INSERT ON webhooks
WHEN EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;
CREATE TRIGGER webhooks_kept_closed AFTER UPDATE OF sealed ON webhooks
WHEN NEW.sealed IS NOT OLD.sealed AND EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;
-- A program that does not know these rows could rotate past them: the key that they need stays.
CREATE TRIGGER data_keys_of_webhooks BEFORE DELETE ON data_keys
WHEN EXISTS (SELECT 1 FROM webhooks WHERE org = OLD.org AND hex(substr(sealed, 2, 8)) = upper(OLD.key_id))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;
