-- Renewal ahead of the end, and how connections and clients stand.

ALTER TABLE connections ADD COLUMN renew_at INTEGER;
ALTER TABLE connections ADD COLUMN used_at INTEGER;
ALTER TABLE connections ADD COLUMN trouble TEXT;
ALTER TABLE connections ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
-- What was there before is looked at once, and then has its time.
UPDATE connections SET renew_at = 0 WHERE auth_type = 'oauth2' AND status = 'active' AND expires_at IS NOT NULL;
CREATE INDEX connections_due ON connections (org, environment, application, renew_at) WHERE renew_at IS NOT NULL;

-- One row for each client and place that renews its tokens.
CREATE TABLE clients (
    org          TEXT NOT NULL,
    environment  INTEGER NOT NULL,
    application  TEXT NOT NULL,
    client_key   TEXT NOT NULL,
    authority    TEXT NOT NULL,
    rejected_at  INTEGER,
    error_json   TEXT,
    client_print TEXT,
    tries        INTEGER NOT NULL,
    next_at      INTEGER NOT NULL,
    probe_owner  TEXT,
    probe_boot   TEXT,
    probe_until  INTEGER,
    slot         INTEGER NOT NULL,
    closed_until INTEGER,
    PRIMARY KEY (org, environment, application, client_key, authority)
) STRICT, WITHOUT ROWID;
