-- Clients that were registered at providers by protocol (RFC 7591), and whose turn it is to register one. One row for each
-- application and place, whose `client_key` is empty, says which of the clients there counts; the others hold one client each.

CREATE TABLE registrations (
    org               TEXT NOT NULL,
    environment       INTEGER NOT NULL,
    application       TEXT NOT NULL,
    authority         TEXT NOT NULL,
    client_key        TEXT NOT NULL,
    sealed            BLOB NOT NULL,
    secret_version    INTEGER NOT NULL,
    made_json         TEXT NOT NULL,
    secret_expires_at INTEGER,
    proven_at         INTEGER,
    ended_at          INTEGER,
    created_at        INTEGER NOT NULL,
    current           TEXT,
    error_json        TEXT,
    tries             INTEGER NOT NULL,
    next_at           INTEGER NOT NULL,
    lease_owner       TEXT,
    lease_boot        TEXT,
    lease_until       INTEGER,
    PRIMARY KEY (org, environment, application, authority, client_key)
) STRICT;
CREATE INDEX registrations_failed ON registrations (next_at) WHERE client_key = '' AND current IS NULL;

CREATE TRIGGER registrations_made_closed AFTER INSERT ON registrations
WHEN EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;
CREATE TRIGGER registrations_kept_closed AFTER UPDATE OF sealed ON registrations
WHEN NEW.sealed IS NOT OLD.sealed AND EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;

-- A program of an older version knows nothing of this table when it rotates keys: it must not drop a key that is needed here.
CREATE TRIGGER registrations_need_key BEFORE DELETE ON data_keys
WHEN EXISTS (SELECT 1 FROM registrations WHERE org = OLD.org AND lower(hex(substr(sealed, 2, 8))) = lower(OLD.key_id))
BEGIN SELECT RAISE(ABORT, 'a needed key'); END;
