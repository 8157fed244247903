-- Links to the hosted page. `hash` is SHA-256 of a link's ticket, which stands nowhere else. They end with their session.

CREATE TABLE portal_links (
    org         TEXT NOT NULL,
    environment INTEGER NOT NULL,
    hash        TEXT NOT NULL,
    account_id  TEXT NOT NULL,
    session_id  TEXT NOT NULL,
    config_id   TEXT,
    once        INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (org, environment, hash),
    FOREIGN KEY (org, environment, session_id) REFERENCES sessions (org, environment, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX portal_links_by_session ON portal_links (org, environment, session_id);

-- What the organisation tells the hosted page of a session: colours, a name, where to go back to.
CREATE TABLE portal_properties (
    org             TEXT NOT NULL,
    environment     INTEGER NOT NULL,
    session_id      TEXT NOT NULL,
    account_id      TEXT NOT NULL,
    properties_json TEXT NOT NULL,
    changed_at      INTEGER NOT NULL,
    PRIMARY KEY (org, environment, session_id),
    FOREIGN KEY (org, environment, session_id) REFERENCES sessions (org, environment, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
