//! The rows by transaction, over one connection.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, types::ValueRef};

use super::{
    fault::{fault, row_fault},
    record::{Put, Record},
};
use crate::{
    Result,
    error::err,
    model::{Environment, Tenant},
    plugin::Tx,
    store::rows::{
        AccountRow, ApiKeyRow, AuditRow, ConfigRow, ConnectionRow, DataKeyRow, EventRow, FlowRow, NewEvent, ReceiptRow, RevocationRow,
        SessionRow, SigningKeyRow,
    },
};

/// A transaction that someone else began and will end.
pub(super) struct SqliteTx<'c>(pub(super) &'c Connection);

fn environment(tenant: &Tenant) -> i64 {
    match tenant.environment {
        Environment::Test => 0,
        Environment::Production => 1,
    }
}

/// What a damaged row is called: the text of its naming column, if it still is one.
fn name_of(row: &Row<'_>, column: &str) -> String {
    match row.get_ref(column) {
        Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(256).collect(),
        Ok(ValueRef::Integer(number)) => number.to_string(),
        _ => "unreadable".to_owned(),
    }
}

/// Escapes what LIKE would take as a pattern.
fn part_of(search: &str) -> String {
    let mut pattern = String::with_capacity(search.len() + 2);
    pattern.push('%');
    for c in search.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl SqliteTx<'_> {
    /// Rows of a statement that answers `T`'s columns first; `named` is what was asked for.
    fn rows<T: Record>(&self, sql: &str, values: &[&dyn ToSql], named: &str) -> Result<Vec<T>> {
        let told = |error: &rusqlite::Error| row_fault(error, T::TABLE, named);
        let mut statement = self.0.prepare_cached(sql).map_err(|e| told(&e))?;
        let mut rows = statement.query(values).map_err(|e| told(&e))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|e| told(&e))? {
            found.push(T::read(row, 0).map_err(|e| row_fault(&e, T::TABLE, &name_of(row, T::NAME)))?);
        }
        Ok(found)
    }

    fn many<T: Record>(&self, rest: &str, values: &[&dyn ToSql], named: &str) -> Result<Vec<T>> {
        self.rows(&format!("SELECT {} FROM {} {rest}", T::COLUMNS, T::TABLE), values, named)
    }

    fn one<T: Record>(&self, rest: &str, values: &[&dyn ToSql], named: &str) -> Result<Option<T>> {
        Ok(self.many(rest, values, named)?.pop())
    }

    /// A statement without an answer; says how many rows it touched.
    fn run(&self, sql: &str, values: &[&dyn ToSql], table: &str, named: &str) -> Result<usize> {
        self.0.prepare_cached(sql).and_then(|mut s| s.execute(values)).map_err(|e| row_fault(&e, table, named))
    }

    /// Inserts or puts a row of a tenant.
    fn keep<T: Record>(&self, sql: &str, tenant: &Tenant, row: &T, named: &str) -> Result<()> {
        let environment = environment(tenant);
        let mut values: Vec<&dyn ToSql> = vec![&tenant.org, &environment];
        values.extend(row.values());
        self.run(sql, &values, T::TABLE, named).map(drop)
    }
}

const BY_ID: &str = "WHERE org = ?1 AND environment = ?2 AND id = ?3";

impl Tx for SqliteTx<'_> {
    fn meta(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        self.0
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")
            .and_then(|mut s| s.query_row([key], |row| row.get(0)).optional())
            .map_err(|e| row_fault(&e, "meta", key))
    }

    fn set_meta(&mut self, key: &str, value: &[u8]) -> Result<()> {
        let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.run(sql, &[&key, &value], "meta", key).map(drop)
    }

    fn data_keys(&mut self, org: &str) -> Result<Vec<DataKeyRow>> {
        self.many("WHERE org = ?1 ORDER BY created_at DESC, key_id DESC", &[&org], org)
    }

    fn insert_data_key(&mut self, row: &DataKeyRow) -> Result<()> {
        self.run(DataKeyRow::INSERT, &row.values(), "data_keys", &row.key_id).map(drop)
    }

    fn signing_keys(&mut self, tenant: &Tenant) -> Result<Vec<SigningKeyRow>> {
        self.many(
            "WHERE org = ?1 AND environment = ?2 ORDER BY created_at DESC, kid DESC",
            &[&tenant.org, &environment(tenant)],
            &tenant.org,
        )
    }

    fn insert_signing_key(&mut self, tenant: &Tenant, row: &SigningKeyRow) -> Result<()> {
        self.keep(SigningKeyRow::INSERT, tenant, row, &row.kid)
    }

    fn api_key_by_hash(&mut self, tenant: &Tenant, hash: &str) -> Result<Option<ApiKeyRow>> {
        self.one("WHERE org = ?1 AND environment = ?2 AND hash = ?3", &[&tenant.org, &environment(tenant), &hash], "by hash")
    }

    fn api_keys(&mut self, tenant: &Tenant) -> Result<Vec<ApiKeyRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 ORDER BY created_at DESC, id DESC";
        self.many(rest, &[&tenant.org, &environment(tenant)], "a list of API keys")
    }

    fn put_api_key(&mut self, tenant: &Tenant, row: &ApiKeyRow) -> Result<()> {
        self.keep(ApiKeyRow::PUT, tenant, row, &row.id)
    }

    fn account(&mut self, tenant: &Tenant, id: &str) -> Result<Option<AccountRow>> {
        self.one(BY_ID, &[&tenant.org, &environment(tenant), &id], id)
    }

    fn put_account(&mut self, tenant: &Tenant, row: &AccountRow) -> Result<()> {
        self.keep(AccountRow::PUT, tenant, row, &row.id)
    }

    fn accounts(&mut self, tenant: &Tenant, after: Option<(i64, String)>, limit: u32, search: Option<&str>) -> Result<Vec<AccountRow>> {
        let environment = environment(tenant);
        let pattern = search.map(part_of);
        let (at, id) = after.clone().unwrap_or_default();
        // Named by number: what a shorter statement does not use is not bound.
        let mut sql = "WHERE org = ?1 AND environment = ?2".to_owned();
        let mut values: Vec<&dyn ToSql> = vec![&tenant.org, &environment, &limit];
        if after.is_some() {
            values.extend([&at as &dyn ToSql, &id]);
            sql.push_str(" AND (created_at, id) < (?4, ?5)");
        }
        if let Some(pattern) = &pattern {
            values.push(pattern);
            let n = values.len();
            sql.push_str(&format!(" AND (id LIKE ?{n} ESCAPE '\\' OR name LIKE ?{n} ESCAPE '\\')"));
        }
        sql.push_str(" ORDER BY created_at DESC, id DESC LIMIT ?3");
        self.many(&sql, &values, "a page of accounts")
    }

    fn delete_account(&mut self, tenant: &Tenant, id: &str) -> Result<bool> {
        // The schema's foreign keys take everything of the account along.
        let sql = "DELETE FROM accounts WHERE org = ?1 AND environment = ?2 AND id = ?3";
        Ok(self.run(sql, &[&tenant.org, &environment(tenant), &id], "accounts", id)? > 0)
    }

    fn session(&mut self, tenant: &Tenant, id: &str) -> Result<Option<SessionRow>> {
        self.one(BY_ID, &[&tenant.org, &environment(tenant), &id], id)
    }

    fn newest_session(&mut self, tenant: &Tenant, account: &str) -> Result<Option<SessionRow>> {
        self.one(
            "WHERE org = ?1 AND environment = ?2 AND account_id = ?3 AND revoked_at IS NULL ORDER BY expires_at DESC LIMIT 1",
            &[&tenant.org, &environment(tenant), &account],
            account,
        )
    }

    fn insert_session(&mut self, tenant: &Tenant, row: &SessionRow) -> Result<()> {
        self.keep(SessionRow::INSERT, tenant, row, &row.id)
    }

    fn revoke_session(&mut self, tenant: &Tenant, id: &str, now: i64) -> Result<bool> {
        let sql = "UPDATE sessions SET revoked_at = ?4 WHERE org = ?1 AND environment = ?2 AND id = ?3 AND revoked_at IS NULL";
        Ok(self.run(sql, &[&tenant.org, &environment(tenant), &id, &now], "sessions", id)? > 0)
    }

    fn delete_sessions_before(&mut self, expired_before: i64, limit: u32) -> Result<u64> {
        let sql = "DELETE FROM sessions WHERE (org, environment, id) IN \
                   (SELECT org, environment, id FROM sessions WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";
        Ok(self.run(sql, &[&expired_before, &limit], "sessions", "expired ones")? as u64)
    }

    fn flow(&mut self, tenant: &Tenant, id: &str) -> Result<Option<FlowRow>> {
        self.one(BY_ID, &[&tenant.org, &environment(tenant), &id], id)
    }

    fn flow_by_state(&mut self, tenant: &Tenant, state_hash: &str) -> Result<Option<FlowRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND state_hash = ?3";
        self.one(rest, &[&tenant.org, &environment(tenant), &state_hash], "by state")
    }

    fn consume_state(&mut self, tenant: &Tenant, state_hash: &str) -> Result<Option<FlowRow>> {
        let sql = format!(
            "UPDATE flows SET state_used = 1 WHERE org = ?1 AND environment = ?2 AND state_hash = ?3 AND state_used = 0 RETURNING {}",
            FlowRow::COLUMNS
        );
        let found: Vec<FlowRow> = self.rows(&sql, &[&tenant.org, &environment(tenant), &state_hash], "by state")?;
        // RETURNING shows the row as it is now; the caller wants it as it was.
        Ok(found.into_iter().next().map(|row| FlowRow { state_used: false, ..row }))
    }

    fn consume_claim(&mut self, tenant: &Tenant, claim_hash: &str) -> Result<Option<FlowRow>> {
        let sql = format!(
            "UPDATE flows SET claim_hash = NULL WHERE org = ?1 AND environment = ?2 AND claim_hash = ?3 RETURNING {}",
            FlowRow::COLUMNS
        );
        let found: Vec<FlowRow> = self.rows(&sql, &[&tenant.org, &environment(tenant), &claim_hash], "by claim")?;
        Ok(found.into_iter().next().map(|row| FlowRow { claim_hash: Some(claim_hash.to_owned()), ..row }))
    }

    fn put_flow(&mut self, tenant: &Tenant, row: &FlowRow) -> Result<()> {
        self.keep(FlowRow::PUT, tenant, row, &row.id)
    }

    fn flows_before(&mut self, status: &str, changed_before: i64, limit: u32) -> Result<Vec<(Tenant, FlowRow)>> {
        let sql = format!(
            "SELECT {}, org, environment FROM flows WHERE status = ?1 AND changed_at < ?2 ORDER BY changed_at LIMIT ?3",
            FlowRow::COLUMNS
        );
        let told = |error: &rusqlite::Error| row_fault(error, "flows", status);
        let mut statement = self.0.prepare_cached(&sql).map_err(|e| told(&e))?;
        let mut rows = statement.query(rusqlite::params![status, changed_before, limit]).map_err(|e| told(&e))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|e| told(&e))? {
            let damaged = |e: rusqlite::Error| row_fault(&e, "flows", &name_of(row, "id"));
            let environment = match row.get::<_, i64>("environment").map_err(damaged)? {
                0 => Environment::Test,
                1 => Environment::Production,
                _ => return Err(err!(StoreCorrupt, "a flow is of no environment").with("table", "flows").with("row", name_of(row, "id"))),
            };
            let tenant = Tenant { org: row.get("org").map_err(damaged)?, environment };
            found.push((tenant, FlowRow::read(row, 0).map_err(damaged)?));
        }
        Ok(found)
    }

    fn delete_flows_before(&mut self, created_before: i64, limit: u32) -> Result<u64> {
        let sql = "DELETE FROM flows WHERE rowid IN (SELECT rowid FROM flows WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";
        Ok(self.run(sql, &[&created_before, &limit], "flows", "old ones")? as u64)
    }

    fn connection(&mut self, tenant: &Tenant, id: &str) -> Result<Option<ConnectionRow>> {
        self.one(BY_ID, &[&tenant.org, &environment(tenant), &id], id)
    }

    fn connections(&mut self, tenant: &Tenant, account: &str, application: Option<&str>) -> Result<Vec<ConnectionRow>> {
        let environment = environment(tenant);
        let mut values: Vec<&dyn ToSql> = vec![&tenant.org, &environment, &account];
        let mut rest = "WHERE org = ?1 AND environment = ?2 AND account_id = ?3".to_owned();
        if let Some(application) = &application {
            values.push(application);
            rest.push_str(" AND application = ?4");
        }
        rest.push_str(" ORDER BY application, is_default DESC, created_at, id");
        self.many(&rest, &values, account)
    }

    fn connections_by_grant(&mut self, tenant: &Tenant, grant_key: &str) -> Result<Vec<ConnectionRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND grant_key = ?3 ORDER BY created_at, id";
        self.many(rest, &[&tenant.org, &environment(tenant), &grant_key], "by grant")
    }

    fn put_connection(&mut self, tenant: &Tenant, row: &ConnectionRow) -> Result<()> {
        self.keep(ConnectionRow::PUT, tenant, row, &row.id)
    }

    fn delete_connection(&mut self, tenant: &Tenant, id: &str) -> Result<bool> {
        let sql = "DELETE FROM connections WHERE org = ?1 AND environment = ?2 AND id = ?3";
        Ok(self.run(sql, &[&tenant.org, &environment(tenant), &id], "connections", id)? > 0)
    }

    fn config(&mut self, tenant: &Tenant, account: &str, application: &str, config_id: &str) -> Result<Option<ConfigRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND account_id = ?3 AND application = ?4 AND config_id = ?5";
        self.one(rest, &[&tenant.org, &environment(tenant), &account, &application, &config_id], config_id)
    }

    fn configs(&mut self, tenant: &Tenant, account: &str, application: &str) -> Result<Vec<ConfigRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND account_id = ?3 AND application = ?4 ORDER BY created_at DESC, config_id DESC";
        self.many(rest, &[&tenant.org, &environment(tenant), &account, &application], account)
    }

    fn put_config(&mut self, tenant: &Tenant, row: &ConfigRow) -> Result<()> {
        self.keep(ConfigRow::PUT, tenant, row, &row.config_id)
    }

    fn delete_config(&mut self, tenant: &Tenant, account: &str, application: &str, config_id: &str) -> Result<bool> {
        let sql = "DELETE FROM configs WHERE org = ?1 AND environment = ?2 AND account_id = ?3 AND application = ?4 AND config_id = ?5";
        Ok(self.run(sql, &[&tenant.org, &environment(tenant), &account, &application, &config_id], "configs", config_id)? > 0)
    }

    fn delete_configs(&mut self, tenant: &Tenant, account: &str, application: &str) -> Result<Vec<String>> {
        let sql = "DELETE FROM configs WHERE org = ?1 AND environment = ?2 AND account_id = ?3 AND application = ?4 RETURNING config_id";
        let told = |e: rusqlite::Error| row_fault(&e, "configs", account);
        let mut statement = self.0.prepare_cached(sql).map_err(told)?;
        let ids = statement.query_map(rusqlite::params![tenant.org, environment(tenant), account, application], |row| row.get(0));
        ids.and_then(Iterator::collect).map_err(told)
    }

    fn receipt(&mut self, tenant: &Tenant, id: &str) -> Result<Option<ReceiptRow>> {
        self.one(BY_ID, &[&tenant.org, &environment(tenant), &id], id)
    }

    fn put_receipt(&mut self, tenant: &Tenant, row: &ReceiptRow) -> Result<()> {
        self.keep(ReceiptRow::PUT, tenant, row, &row.id)
    }

    fn put_revocation(&mut self, tenant: &Tenant, row: &RevocationRow) -> Result<()> {
        self.keep(RevocationRow::PUT, tenant, row, &row.id)
    }

    fn revocation(&mut self, tenant: &Tenant, id: &str) -> Result<Option<RevocationRow>> {
        self.one(BY_ID, &[&tenant.org, &environment(tenant), &id], id)
    }

    fn queued_revocations(&mut self, tenant: &Tenant, account: &str, application: &str) -> Result<Vec<RevocationRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND status = 'queued' AND account_id = ?3 AND application = ?4 ORDER BY rowid";
        self.many(rest, &[&tenant.org, &environment(tenant), &account, &application], "queued ones of an account")
    }

    fn queued_revocations_by_grant(&mut self, tenant: &Tenant, grant_key: &str) -> Result<Vec<RevocationRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND status = 'queued' AND grant_key = ?3 ORDER BY rowid";
        self.many(rest, &[&tenant.org, &environment(tenant), &grant_key], "queued ones of a grant")
    }

    fn due_revocations(&mut self, tenant: &Tenant, now: i64, limit: u32) -> Result<Vec<RevocationRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND status = 'queued' AND next_at <= ?3 ORDER BY next_at, rowid LIMIT ?4";
        self.many(rest, &[&tenant.org, &environment(tenant), &now, &limit], "due ones")
    }

    fn append_event(&mut self, tenant: &Tenant, event: &NewEvent) -> Result<i64> {
        self.keep(NewEvent::INSERT, tenant, event, &event.id)?;
        Ok(self.0.last_insert_rowid())
    }

    fn events_after(&mut self, tenant: &Tenant, seq: i64, limit: u32) -> Result<Vec<EventRow>> {
        let sql =
            format!("SELECT {}, seq FROM events WHERE org = ?1 AND environment = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4", NewEvent::COLUMNS);
        let told = |error: &rusqlite::Error| row_fault(error, "events", "a page of the log");
        let mut statement = self.0.prepare_cached(&sql).map_err(|e| told(&e))?;
        let mut rows = statement.query(rusqlite::params![tenant.org, environment(tenant), seq, limit]).map_err(|e| told(&e))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|e| told(&e))? {
            let damaged = |e: rusqlite::Error| row_fault(&e, "events", &name_of(row, "seq"));
            found.push(EventRow { seq: row.get("seq").map_err(damaged)?, event: NewEvent::read(row, 0).map_err(damaged)? });
        }
        Ok(found)
    }

    fn last_event(&mut self) -> Result<i64> {
        // The counter, not the table: old events may all be gone.
        let last = self
            .0
            .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
            .and_then(|mut s| s.query_row([], |row| row.get(0)).optional());
        Ok(last.map_err(|e| fault(&e))?.unwrap_or(0))
    }

    fn delete_events_before(&mut self, at: i64, limit: u32) -> Result<u64> {
        // Numbers and times grow together: the oldest ones are the first ones, and no index by time is needed.
        let sql = "DELETE FROM events WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM events ORDER BY seq LIMIT ?2) WHERE at < ?1)";
        Ok(self.run(sql, &[&at, &limit], "events", "old ones")? as u64)
    }

    fn append_audit(&mut self, tenant: &Tenant, row: &AuditRow) -> Result<i64> {
        let sql = "INSERT INTO audit (org, environment, action, actor, account_id, application, connection_id, count, detail_json, at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let environment = environment(tenant);
        let mut values: Vec<&dyn ToSql> = vec![&tenant.org, &environment];
        values.extend(row.values().into_iter().skip(1)); // all but the number
        self.run(sql, &values, "audit", &row.action)?;
        Ok(self.0.last_insert_rowid())
    }

    fn add_audit_count(&mut self, seq: i64, by: u64) -> Result<()> {
        let by = i64::try_from(by).unwrap_or(i64::MAX);
        let sql = "UPDATE audit SET count = count + ?2 WHERE seq = ?1";
        self.run(sql, &[&seq, &by], "audit", &seq.to_string()).map(drop)
    }

    fn audit_before(&mut self, tenant: &Tenant, before: Option<i64>, limit: u32) -> Result<Vec<AuditRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND seq < ?3 ORDER BY seq DESC LIMIT ?4";
        self.many(rest, &[&tenant.org, &environment(tenant), &before.unwrap_or(i64::MAX), &limit], "a page of the audit")
    }
}
