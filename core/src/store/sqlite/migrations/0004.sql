-- Rotation of data keys. Under a closed key nothing may be sealed any more, whoever writes: also a process that sealed
-- before it learnt of the rotation, and a program of an older version. `head` is what a value sealed under the key begins with.

CREATE TABLE closed_keys (
    org       TEXT NOT NULL,
    head      BLOB NOT NULL,
    closed_at INTEGER NOT NULL,
    PRIMARY KEY (org, head)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER connections_made_closed AFTER INSERT ON connections
WHEN EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;
CREATE TRIGGER connections_kept_closed AFTER UPDATE OF sealed ON connections
WHEN NEW.sealed IS NOT OLD.sealed AND EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;

CREATE TRIGGER flows_made_closed AFTER INSERT ON flows
WHEN EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;
CREATE TRIGGER flows_kept_closed AFTER UPDATE OF sealed ON flows
WHEN NEW.sealed IS NOT OLD.sealed AND EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;

CREATE TRIGGER configs_made_closed AFTER INSERT ON configs
WHEN EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;
CREATE TRIGGER configs_kept_closed AFTER UPDATE OF sealed ON configs
WHEN NEW.sealed IS NOT OLD.sealed AND EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;

CREATE TRIGGER revocations_made_closed AFTER INSERT ON revocations
WHEN EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;
CREATE TRIGGER revocations_kept_closed AFTER UPDATE OF sealed ON revocations
WHEN NEW.sealed IS NOT OLD.sealed AND EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;

CREATE TRIGGER signing_keys_made_closed AFTER INSERT ON signing_keys
WHEN EXISTS (SELECT 1 FROM closed_keys WHERE org = NEW.org AND head = substr(NEW.sealed, 1, 9))
BEGIN SELECT RAISE(ABORT, 'closed key'); END;
