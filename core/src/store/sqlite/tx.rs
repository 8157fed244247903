//! The rows by transaction, over one connection.

use std::{cell::RefCell, collections::HashMap};

use rusqlite::{Connection, OptionalExtension, Row, ToSql, types::ValueRef};

use super::{
    fault::{fault, row_fault},
    record::{Change, Put, Record},
};
use crate::{
    Result,
    error::err,
    model::{Environment, Tenant},
    plugin::Tx,
    store::rows::{
        AccountRow, ApiKeyRow, AuditRow, ClientRow, ConfigRow, ConnectionRow, DataKeyRow, DeliveryRow, EventRow, ExecutionRow, FlowRow,
        NewEvent, OwnCredentialsRow, PortalLinkRow, PortalPropertiesRow, ReceiptRow, RegistrationRow, RevocationRow, SealedPage, SealedRow,
        SealedTable, SessionRow, SigningKeyRow, WebhookRow,
    },
};

/// A transaction that someone else began and will end.
pub(super) struct SqliteTx<'c> {
    conn: &'c Connection,
    /// What was read of `meta` in this transaction.
    meta: &'c RefCell<Meta>,
}

/// Rows of `meta` by key, as they stand in the transaction: every job asks for the same ones.
pub(super) type Meta = HashMap<String, Option<Vec<u8>>>;

impl<'c> SqliteTx<'c> {
    pub(super) fn new(conn: &'c Connection, meta: &'c RefCell<Meta>) -> Self {
        Self { conn, meta }
    }
}

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

/// The environment that a row says it is of.
fn environment_of(row: &Row<'_>, table: &str) -> Result<Environment> {
    match row.get::<_, i64>("environment") {
        Ok(0) => Ok(Environment::Test),
        Ok(1) => Ok(Environment::Production),
        _ => Err(err!(StoreCorrupt, "a row of `{table}` is of no environment").with("table", table).with("row", name_of(row, "id"))),
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
        let mut statement = self.conn.prepare_cached(sql).map_err(|e| told(&e))?;
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

    fn by_id<T: Put>(&self, tenant: &Tenant, id: &str) -> Result<Option<T>> {
        Ok(self.rows(T::BY_ID, &[&tenant.org, &environment(tenant), &id], id)?.pop())
    }

    /// The rows of `T` in a stretch of its table; see [`Tx::sealed_otherwise`].
    fn stretch<T: Record>(
        &self,
        org: &str,
        head: &[u8],
        after: i64,
        end: i64,
        wrap: impl Fn(T) -> SealedRow,
    ) -> Result<Vec<(i64, Environment, SealedRow)>> {
        let sql = format!(
            "SELECT {}, rowid AS place, environment FROM {} \
             WHERE rowid > ?1 AND rowid <= ?2 AND org = ?3 AND length(sealed) > 0 AND substr(sealed, 1, length(?4)) IS NOT ?4",
            T::COLUMNS,
            T::TABLE
        );
        let told = |error: &rusqlite::Error| row_fault(error, T::TABLE, "a stretch of the table");
        let mut statement = self.conn.prepare_cached(&sql).map_err(|e| told(&e))?;
        let mut rows = statement.query(rusqlite::params![after, end, org, head]).map_err(|e| told(&e))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|e| told(&e))? {
            let damaged = |e: rusqlite::Error| row_fault(&e, T::TABLE, &name_of(row, T::NAME));
            let environment = environment_of(row, T::TABLE)?;
            found.push((row.get("place").map_err(damaged)?, environment, wrap(T::read(row, 0).map_err(damaged)?)));
        }
        Ok(found)
    }

    /// A statement without an answer; says how many rows it touched.
    fn run(&self, sql: &str, values: &[&dyn ToSql], table: &str, named: &str) -> Result<usize> {
        self.conn.prepare_cached(sql).and_then(|mut s| s.execute(values)).map_err(|e| row_fault(&e, table, named))
    }

    /// Changes the columns of a row that differ: what stays has no part in it, with its indexes, triggers and references.
    fn change<T: Change>(&self, tenant: &Tenant, before: &T, after: &T, named: &str) -> Result<()> {
        let (changes, environment) = (after.changes(before), environment(tenant));
        if changes.is_empty() {
            return Ok(());
        }
        let mut values: Vec<&dyn ToSql> = vec![&tenant.org, &environment];
        let mut place = |value| {
            values.push(value);
            values.len()
        };
        let set: Vec<String> = changes.into_iter().map(|(column, value)| format!("{column} = ?{}", place(value))).collect();
        let key: String = before.key().into_iter().map(|(column, value)| format!(" AND {column} = ?{}", place(value))).collect();
        let sql = format!("UPDATE {} SET {} WHERE org = ?1 AND environment = ?2{key}", T::TABLE, set.join(", "));
        self.run(&sql, &values, T::TABLE, named).map(drop)
    }

    /// Inserts or puts a row of a tenant.
    fn keep<T: Record>(&self, sql: &str, tenant: &Tenant, row: &T, named: &str) -> Result<()> {
        let environment = environment(tenant);
        let mut values: Vec<&dyn ToSql> = vec![&tenant.org, &environment];
        values.extend(row.values());
        self.run(sql, &values, T::TABLE, named).map(drop)
    }
}

impl Tx for SqliteTx<'_> {
    fn meta(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        if let Some(known) = self.meta.borrow().get(key) {
            return Ok(known.clone());
        }
        let found: Option<Vec<u8>> = self
            .conn
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")
            .and_then(|mut s| s.query_row([key], |row| row.get(0)).optional())
            .map_err(|e| row_fault(&e, "meta", key))?;
        self.meta.borrow_mut().insert(key.to_owned(), found.clone());
        Ok(found)
    }

    fn set_meta(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.meta.borrow_mut().remove(key);
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

    fn retire_signing_keys(&mut self, tenant: &Tenant, now: i64, grace: i64) -> Result<()> {
        let sql = "UPDATE signing_keys SET retired_at = max(?3, ?4 + coalesce((SELECT max(expires_at) FROM sessions \
                   WHERE org = ?1 AND environment = ?2 AND kid = signing_keys.kid), 0)) \
                   WHERE org = ?1 AND environment = ?2 AND retired_at IS NULL";
        self.run(sql, &[&tenant.org, &environment(tenant), &now, &grace], "signing_keys", &tenant.org).map(drop)
    }

    fn delete_signing_keys_before(&mut self, retired_before: i64) -> Result<u64> {
        let sql = "DELETE FROM signing_keys WHERE retired_at < ?1";
        Ok(self.run(sql, &[&retired_before], "signing_keys", "retired ones")? as u64)
    }

    fn all_data_keys(&mut self) -> Result<Vec<DataKeyRow>> {
        self.many("ORDER BY org, created_at, key_id", &[], "all of them")
    }

    fn rewrap_data_key(&mut self, seen: &DataKeyRow, master_key_id: &str, wrapped: &[u8]) -> Result<bool> {
        let sql = "UPDATE data_keys SET master_key_id = ?5, wrapped = ?6 \
                   WHERE org = ?1 AND key_id = ?2 AND master_key_id = ?3 AND wrapped = ?4";
        let values: [&dyn ToSql; 6] = [&seen.org, &seen.key_id, &seen.master_key_id, &seen.wrapped, &master_key_id, &wrapped];
        Ok(self.run(sql, &values, "data_keys", &seen.key_id)? > 0)
    }

    fn close_data_key(&mut self, org: &str, head: &[u8], now: i64) -> Result<()> {
        let sql = "INSERT INTO closed_keys (org, head, closed_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.run(sql, &[&org, &head, &now], "closed_keys", org).map(drop)
    }

    fn delete_data_key(&mut self, org: &str, key_id: &str) -> Result<()> {
        self.run("DELETE FROM data_keys WHERE org = ?1 AND key_id = ?2", &[&org, &key_id], "data_keys", key_id).map(drop)
    }

    fn sealed_otherwise(&mut self, org: &str, table: SealedTable, head: &[u8], after: i64, limit: u32) -> Result<SealedPage> {
        let sql = format!("SELECT max(rowid) FROM (SELECT rowid FROM {} WHERE rowid > ?1 ORDER BY rowid LIMIT ?2)", table.name());
        let end: Option<i64> = self
            .conn
            .prepare_cached(&sql)
            .and_then(|mut s| s.query_row((after, limit), |row| row.get(0)))
            .map_err(|e| row_fault(&e, table.name(), "a stretch of the table"))?;
        let Some(last) = end else { return Ok(SealedPage::default()) };
        let rows = match table {
            SealedTable::Connections => self.stretch(org, head, after, last, SealedRow::Connection),
            SealedTable::Flows => self.stretch(org, head, after, last, SealedRow::Flow),
            SealedTable::Configs => self.stretch(org, head, after, last, SealedRow::Config),
            SealedTable::Revocations => self.stretch(org, head, after, last, SealedRow::Revocation),
            SealedTable::Webhooks => self.stretch(org, head, after, last, SealedRow::Webhook),
            SealedTable::Registrations => self.stretch(org, head, after, last, SealedRow::Registration),
            SealedTable::OwnCredentials => self.stretch(org, head, after, last, SealedRow::OwnCredentials),
        }?;
        Ok(SealedPage { rows, end })
    }

    fn count_sealed(&mut self, org: &str) -> Result<u64> {
        let mut count = 0;
        for table in SealedTable::ALL {
            let sql = format!("SELECT count(*) FROM {} WHERE org = ?1 AND length(sealed) > 0", table.name());
            let counted: i64 = self
                .conn
                .prepare_cached(&sql)
                .and_then(|mut s| s.query_row([org], |row| row.get(0)))
                .map_err(|e| row_fault(&e, table.name(), "all of them"))?;
            count += counted.unsigned_abs();
        }
        Ok(count)
    }

    fn reseal(&mut self, table: SealedTable, place: i64, sealed: &[u8]) -> Result<()> {
        let sql = format!("UPDATE {} SET sealed = ?2 WHERE rowid = ?1", table.name());
        self.run(&sql, &[&place, &sealed], table.name(), &place.to_string()).map(drop)
    }

    fn reseal_signing_key(&mut self, tenant: &Tenant, kid: &str, sealed: &[u8]) -> Result<()> {
        let sql = "UPDATE signing_keys SET sealed = ?4 WHERE org = ?1 AND environment = ?2 AND kid = ?3";
        self.run(sql, &[&tenant.org, &environment(tenant), &kid, &sealed], "signing_keys", kid).map(drop)
    }

    fn api_key_by_hash(&mut self, tenant: &Tenant, hash: &str) -> Result<Option<ApiKeyRow>> {
        Ok(self.rows(ApiKeyRow::BY_HASH, &[&tenant.org, &environment(tenant), &hash], "by hash")?.pop())
    }

    fn api_keys(&mut self, tenant: &Tenant) -> Result<Vec<ApiKeyRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 ORDER BY created_at DESC, id DESC";
        self.many(rest, &[&tenant.org, &environment(tenant)], "a list of API keys")
    }

    fn put_api_key(&mut self, tenant: &Tenant, row: &ApiKeyRow) -> Result<()> {
        self.keep(ApiKeyRow::PUT, tenant, row, &row.id)
    }

    fn account(&mut self, tenant: &Tenant, id: &str) -> Result<Option<AccountRow>> {
        self.by_id(tenant, id)
    }

    fn put_account(&mut self, tenant: &Tenant, row: &AccountRow) -> Result<()> {
        self.keep(AccountRow::PUT, tenant, row, &row.id)
    }

    fn accounts(
        &mut self,
        tenant: &Tenant,
        after: Option<(i64, String)>,
        skip: u64,
        limit: u32,
        search: Option<&str>,
    ) -> Result<Vec<AccountRow>> {
        let skip = i64::try_from(skip).unwrap_or(i64::MAX);
        let environment = environment(tenant);
        let pattern = search.map(part_of);
        let (at, id) = after.clone().unwrap_or_default();
        // Named by number: what a shorter statement does not use is not bound.
        let mut sql = "WHERE org = ?1 AND environment = ?2".to_owned();
        let mut values: Vec<&dyn ToSql> = vec![&tenant.org, &environment, &limit, &skip];
        if after.is_some() {
            values.extend([&at as &dyn ToSql, &id]);
            sql.push_str(" AND (created_at, id) < (?5, ?6)");
        }
        if let Some(pattern) = &pattern {
            values.push(pattern);
            let n = values.len();
            sql.push_str(&format!(" AND (id LIKE ?{n} ESCAPE '\\' OR name LIKE ?{n} ESCAPE '\\')"));
        }
        sql.push_str(" ORDER BY created_at DESC, id DESC LIMIT ?3 OFFSET ?4");
        self.many(&sql, &values, "a page of accounts")
    }

    fn count_accounts(&mut self, tenant: &Tenant, search: Option<&str>) -> Result<u64> {
        let pattern = search.map_or_else(|| "%".to_owned(), part_of);
        let sql = "SELECT count(*) FROM accounts WHERE org = ?1 AND environment = ?2 AND (?3 = '%' OR id LIKE ?3 ESCAPE '\\' OR name LIKE ?3 ESCAPE '\\')";
        let count = self
            .conn
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row((&tenant.org, environment(tenant), pattern), |row| row.get::<_, i64>(0)));
        count.map(i64::unsigned_abs).map_err(|e| row_fault(&e, "accounts", "a count"))
    }

    fn delete_account(&mut self, tenant: &Tenant, id: &str) -> Result<bool> {
        // The schema's foreign keys take everything of the account along.
        let sql = "DELETE FROM accounts WHERE org = ?1 AND environment = ?2 AND id = ?3";
        Ok(self.run(sql, &[&tenant.org, &environment(tenant), &id], "accounts", id)? > 0)
    }

    fn session(&mut self, tenant: &Tenant, id: &str) -> Result<Option<SessionRow>> {
        self.by_id(tenant, id)
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

    fn portal_link(&mut self, tenant: &Tenant, hash: &str) -> Result<Option<PortalLinkRow>> {
        self.one("WHERE org = ?1 AND environment = ?2 AND hash = ?3", &[&tenant.org, &environment(tenant), &hash], "by hash")
    }

    fn insert_portal_link(&mut self, tenant: &Tenant, row: &PortalLinkRow) -> Result<()> {
        self.keep(PortalLinkRow::INSERT, tenant, row, &row.session_id)
    }

    fn delete_portal_link(&mut self, tenant: &Tenant, hash: &str) -> Result<bool> {
        let sql = "DELETE FROM portal_links WHERE org = ?1 AND environment = ?2 AND hash = ?3";
        Ok(self.run(sql, &[&tenant.org, &environment(tenant), &hash], "portal_links", "by hash")? > 0)
    }

    fn portal_properties(&mut self, tenant: &Tenant, session: &str) -> Result<Option<PortalPropertiesRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND session_id = ?3";
        self.one(rest, &[&tenant.org, &environment(tenant), &session], session)
    }

    fn put_portal_properties(&mut self, tenant: &Tenant, row: &PortalPropertiesRow) -> Result<()> {
        self.keep(PortalPropertiesRow::PUT, tenant, row, &row.session_id)
    }

    fn flow(&mut self, tenant: &Tenant, id: &str) -> Result<Option<FlowRow>> {
        self.by_id(tenant, id)
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

    fn flow_by_claim(&mut self, tenant: &Tenant, claim_hash: &str) -> Result<Option<FlowRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND claim_hash = ?3";
        self.one(rest, &[&tenant.org, &environment(tenant), &claim_hash], "by claim")
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
        let mut statement = self.conn.prepare_cached(&sql).map_err(|e| told(&e))?;
        let mut rows = statement.query(rusqlite::params![status, changed_before, limit]).map_err(|e| told(&e))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|e| told(&e))? {
            let damaged = |e: rusqlite::Error| row_fault(&e, "flows", &name_of(row, "id"));
            let tenant = Tenant { org: row.get("org").map_err(damaged)?, environment: environment_of(row, "flows")? };
            found.push((tenant, FlowRow::read(row, 0).map_err(damaged)?));
        }
        Ok(found)
    }

    fn delete_flows_before(&mut self, created_before: i64, limit: u32) -> Result<u64> {
        let sql = "DELETE FROM flows WHERE rowid IN (SELECT rowid FROM flows WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";
        Ok(self.run(sql, &[&created_before, &limit], "flows", "old ones")? as u64)
    }

    fn connection(&mut self, tenant: &Tenant, id: &str) -> Result<Option<ConnectionRow>> {
        self.by_id(tenant, id)
    }

    fn connections(&mut self, tenant: &Tenant, account: &str, application: Option<&str>) -> Result<Vec<ConnectionRow>> {
        let environment = environment(tenant);
        match application {
            Some(application) => self.rows(ConnectionRow::OF_APPLICATION, &[&tenant.org, &environment, &account, &application], account),
            None => self.rows(ConnectionRow::OF_ACCOUNT, &[&tenant.org, &environment, &account], account),
        }
    }

    fn connections_by_grant(&mut self, tenant: &Tenant, grant_key: &str) -> Result<Vec<ConnectionRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND grant_key = ?3 ORDER BY created_at, id";
        self.many(rest, &[&tenant.org, &environment(tenant), &grant_key], "by grant")
    }

    fn put_connection(&mut self, tenant: &Tenant, row: &ConnectionRow) -> Result<()> {
        self.keep(ConnectionRow::PUT, tenant, row, &row.id)
    }

    fn change_connection(&mut self, tenant: &Tenant, before: &ConnectionRow, after: &ConnectionRow) -> Result<()> {
        self.change(tenant, before, after, &before.id)
    }

    fn delete_connection(&mut self, tenant: &Tenant, id: &str) -> Result<bool> {
        let sql = "DELETE FROM connections WHERE org = ?1 AND environment = ?2 AND id = ?3";
        Ok(self.run(sql, &[&tenant.org, &environment(tenant), &id], "connections", id)? > 0)
    }

    fn due_connections(&mut self, tenant: &Tenant, application: &str, now: i64, limit: u32) -> Result<Vec<ConnectionRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND application = ?3 AND renew_at <= ?4 ORDER BY renew_at LIMIT ?5";
        self.many(rest, &[&tenant.org, &environment(tenant), &application, &now, &limit], "due ones")
    }

    fn touch_connection(&mut self, tenant: &Tenant, id: &str, used_at: i64) -> Result<()> {
        let sql = "UPDATE connections SET used_at = ?4 WHERE org = ?1 AND environment = ?2 AND id = ?3";
        self.run(sql, &[&tenant.org, &environment(tenant), &id, &used_at], "connections", id).map(drop)
    }

    fn client(&mut self, tenant: &Tenant, application: &str, client_key: &str, authority: &str) -> Result<Option<ClientRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND application = ?3 AND client_key = ?4 AND authority = ?5";
        self.one(rest, &[&tenant.org, &environment(tenant), &application, &client_key, &authority], application)
    }

    fn clients(&mut self, tenant: &Tenant, application: Option<&str>) -> Result<Vec<ClientRow>> {
        let environment = environment(tenant);
        match application {
            Some(application) => self.rows(ClientRow::OF_APPLICATION, &[&tenant.org, &environment, &application], application),
            None => self.rows(ClientRow::OF_TENANT, &[&tenant.org, &environment], "all clients"),
        }
    }

    fn put_client(&mut self, tenant: &Tenant, row: &ClientRow) -> Result<()> {
        self.keep(ClientRow::PUT, tenant, row, &row.application)
    }

    fn registration(&mut self, tenant: &Tenant, application: &str, authority: &str, client_key: &str) -> Result<Option<RegistrationRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND application = ?3 AND authority = ?4 AND client_key = ?5";
        self.one(rest, &[&tenant.org, &environment(tenant), &application, &authority, &client_key], application)
    }

    fn put_registration(&mut self, tenant: &Tenant, row: &RegistrationRow) -> Result<()> {
        self.keep(RegistrationRow::PUT, tenant, row, &row.application)
    }

    fn delete_registrations_before(&mut self, next_before: i64, limit: u32) -> Result<u64> {
        let sql = "DELETE FROM registrations WHERE rowid IN \
                   (SELECT rowid FROM registrations WHERE client_key = '' AND current IS NULL AND next_at < ?1 ORDER BY next_at LIMIT ?2)";
        Ok(self.run(sql, &[&next_before, &limit], "registrations", "failed ones")? as u64)
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
        let mut statement = self.conn.prepare_cached(sql).map_err(told)?;
        let ids = statement.query_map(rusqlite::params![tenant.org, environment(tenant), account, application], |row| row.get(0));
        ids.and_then(Iterator::collect).map_err(told)
    }

    fn receipt(&mut self, tenant: &Tenant, id: &str) -> Result<Option<ReceiptRow>> {
        self.by_id(tenant, id)
    }

    fn put_receipt(&mut self, tenant: &Tenant, row: &ReceiptRow) -> Result<()> {
        self.keep(ReceiptRow::PUT, tenant, row, &row.id)
    }

    fn put_revocation(&mut self, tenant: &Tenant, row: &RevocationRow) -> Result<()> {
        self.keep(RevocationRow::PUT, tenant, row, &row.id)
    }

    fn revocation(&mut self, tenant: &Tenant, id: &str) -> Result<Option<RevocationRow>> {
        self.by_id(tenant, id)
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

    fn own_credentials(&mut self, tenant: &Tenant, account: &str) -> Result<Option<OwnCredentialsRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND account_id = ?3";
        self.one(rest, &[&tenant.org, &environment(tenant), &account], account)
    }

    fn put_own_credentials(&mut self, tenant: &Tenant, row: &OwnCredentialsRow) -> Result<()> {
        self.keep(OwnCredentialsRow::PUT, tenant, row, &row.account_id)
    }

    fn execution(&mut self, tenant: &Tenant, id: &str) -> Result<Option<ExecutionRow>> {
        self.by_id(tenant, id)
    }

    fn executions(&mut self, tenant: &Tenant, account: &str, before: Option<(i64, String)>, limit: u32) -> Result<Vec<ExecutionRow>> {
        let (at, id) = before.unwrap_or((i64::MAX, String::new()));
        let rest = "WHERE org = ?1 AND environment = ?2 AND account_id = ?3 AND (created_at, id) < (?4, ?5) \
                    ORDER BY created_at DESC, id DESC LIMIT ?6";
        self.many(rest, &[&tenant.org, &environment(tenant), &account, &at, &id, &limit], "a page of executions")
    }

    fn put_execution(&mut self, tenant: &Tenant, row: &ExecutionRow) -> Result<()> {
        self.keep(ExecutionRow::PUT, tenant, row, &row.id)
    }

    fn lost_executions(&mut self, begun_before: i64, limit: u32) -> Result<Vec<(Tenant, ExecutionRow)>> {
        let sql = format!(
            "SELECT {}, org, environment FROM executions WHERE status = 'running' AND created_at < ?1 ORDER BY created_at LIMIT ?2",
            ExecutionRow::COLUMNS
        );
        let told = |error: &rusqlite::Error| row_fault(error, "executions", "lost ones");
        let mut statement = self.conn.prepare_cached(&sql).map_err(|e| told(&e))?;
        let mut rows = statement.query(rusqlite::params![begun_before, limit]).map_err(|e| told(&e))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|e| told(&e))? {
            let damaged = |e: rusqlite::Error| row_fault(&e, "executions", &name_of(row, "id"));
            let tenant = Tenant { org: row.get("org").map_err(damaged)?, environment: environment_of(row, "executions")? };
            found.push((tenant, ExecutionRow::read(row, 0).map_err(damaged)?));
        }
        Ok(found)
    }

    fn delete_executions_before(&mut self, created_before: i64, limit: u32) -> Result<u64> {
        let sql = "DELETE FROM executions WHERE rowid IN \
                   (SELECT rowid FROM executions WHERE status <> 'running' AND created_at < ?1 ORDER BY created_at LIMIT ?2)";
        Ok(self.run(sql, &[&created_before, &limit], "executions", "old ones")? as u64)
    }

    fn webhooks(&mut self, tenant: &Tenant) -> Result<Vec<WebhookRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 ORDER BY created_at, rowid";
        self.many(rest, &[&tenant.org, &environment(tenant)], "all webhooks")
    }

    fn webhook(&mut self, tenant: &Tenant, id: &str) -> Result<Option<WebhookRow>> {
        self.by_id(tenant, id)
    }

    fn put_webhook(&mut self, tenant: &Tenant, row: &WebhookRow) -> Result<()> {
        self.keep(WebhookRow::PUT, tenant, row, &row.id)
    }

    fn delete_webhook(&mut self, tenant: &Tenant, id: &str) -> Result<bool> {
        let sql = "DELETE FROM webhooks WHERE org = ?1 AND environment = ?2 AND id = ?3";
        Ok(self.run(sql, &[&tenant.org, &environment(tenant), &id], "webhooks", id)? > 0)
    }

    fn put_delivery(&mut self, tenant: &Tenant, row: &DeliveryRow) -> Result<()> {
        self.keep(DeliveryRow::PUT, tenant, row, &row.id)
    }

    fn delivery(&mut self, tenant: &Tenant, id: &str) -> Result<Option<DeliveryRow>> {
        self.by_id(tenant, id)
    }

    fn due_deliveries(&mut self, tenant: &Tenant, webhook: &str, now: i64, limit: u32) -> Result<Vec<DeliveryRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND webhook_id = ?3 AND status = 'queued' AND next_at <= ?4 \
                    ORDER BY next_at, seq LIMIT ?5";
        self.many(rest, &[&tenant.org, &environment(tenant), &webhook, &now, &limit], "due ones")
    }

    fn deliveries(&mut self, tenant: &Tenant, webhook: &str, before: Option<i64>, limit: u32) -> Result<Vec<DeliveryRow>> {
        let rest = "WHERE org = ?1 AND environment = ?2 AND webhook_id = ?3 AND seq < ?4 ORDER BY seq DESC LIMIT ?5";
        self.many(rest, &[&tenant.org, &environment(tenant), &webhook, &before.unwrap_or(i64::MAX), &limit], "a page of deliveries")
    }

    fn fail_deliveries(&mut self, tenant: &Tenant, webhook: &str, error_code: &str, now: i64) -> Result<u64> {
        let sql = "UPDATE deliveries SET status = 'failed', error_code = ?4, changed_at = ?5, lease_owner = NULL, lease_boot = NULL, \
                   lease_until = NULL WHERE org = ?1 AND environment = ?2 AND webhook_id = ?3 AND status = 'queued'";
        Ok(self.run(sql, &[&tenant.org, &environment(tenant), &webhook, &error_code, &now], "deliveries", webhook)? as u64)
    }

    fn delete_deliveries_before(&mut self, created_before: i64, limit: u32) -> Result<u64> {
        let sql = "DELETE FROM deliveries WHERE rowid IN \
                   (SELECT rowid FROM deliveries WHERE status <> 'queued' AND created_at < ?1 ORDER BY created_at LIMIT ?2)";
        Ok(self.run(sql, &[&created_before, &limit], "deliveries", "old ones")? as u64)
    }

    fn append_event(&mut self, tenant: &Tenant, event: &NewEvent) -> Result<i64> {
        self.keep(NewEvent::INSERT, tenant, event, &event.id)?;
        Ok(self.conn.last_insert_rowid())
    }

    fn events_after(&mut self, tenant: &Tenant, seq: i64, limit: u32) -> Result<Vec<EventRow>> {
        let sql =
            format!("SELECT {}, seq FROM events WHERE org = ?1 AND environment = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4", NewEvent::COLUMNS);
        let told = |error: &rusqlite::Error| row_fault(error, "events", "a page of the log");
        let mut statement = self.conn.prepare_cached(&sql).map_err(|e| told(&e))?;
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
            .conn
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
        Ok(self.conn.last_insert_rowid())
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
