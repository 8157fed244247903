//! Rows to columns and back: one list per row type, from which its statements are made.

use rusqlite::{Row, ToSql, types::FromSql};

use crate::store::rows::{
    AccountRow, ApiKeyRow, AuditRow, ClientRow, ConfigRow, ConnectionRow, DataKeyRow, DeliveryRow, ExecutionRow, FlowRow, NewEvent,
    OwnCredentialsRow, PortalLinkRow, PortalPropertiesRow, ReceiptRow, RegistrationRow, RevocationRow, SessionRow, SigningKeyRow,
    WebhookRow,
};

/// A row type that is kept in a table of its own.
pub(super) trait Record: Sized {
    const TABLE: &'static str;
    /// Its columns, without those of the tenant.
    const COLUMNS: &'static str;
    /// Inserts; the parameters are the owner's columns, then [`Record::values`].
    const INSERT: &'static str;
    /// The column that names a row in an error.
    const NAME: &'static str;

    /// Reads the columns, the first of which is column `at` of the result.
    fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Self>;
    fn values(&self) -> Vec<&dyn ToSql>;
}

/// A record that can be put: inserted, or replaced where its key is there already.
pub(super) trait Put: Record {
    /// As [`Record::INSERT`].
    const PUT: &'static str;
    /// Reads the one of a tenant that has an `id`, for records with such a column.
    const BY_ID: &'static str;
}

/// A record of which single columns can be changed.
pub(super) trait Change: Put {
    /// The condition that finds the row, after the owner's columns, and its values.
    fn key(&self) -> Vec<(&'static str, &dyn ToSql)>;
    /// The columns that differ from another state of the same row, with their values here.
    fn changes(&self, before: &Self) -> Vec<(&'static str, &dyn ToSql)>;
}

/// Reads columns one after the other.
struct Columns<'a, 'r>(&'a Row<'r>, usize);

impl Columns<'_, '_> {
    fn next<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        self.1 += 1;
        self.0.get(self.1 - 1)
    }
}

/// `key` columns find the row; `fixed` ones are its identity and never change, so that an update leaves their indexes alone. `reads` are
/// the statements of the busiest calls: their texts are made once, not at each call.
macro_rules! record {
    ($row:ident in $table:literal of ($first:ident $(, $owner:ident)*) named $name:ident
     key ($($key:ident),*) fixed ($($fixed:ident),*) free ($free:ident $(, $more:ident)*) $(reads ($($read:ident $rest:literal),*))?) => {
        record!(@reads $row $table ($($key,)* $($fixed,)* $free $(, $more)*) $($($read $rest)*)?);

        impl Record for $row {
            const TABLE: &'static str = $table;
            const NAME: &'static str = stringify!($name);
            const COLUMNS: &'static str = concat!($(stringify!($key), ", ",)* $(stringify!($fixed), ", ",)* stringify!($free) $(, ", ", stringify!($more))*);
            const INSERT: &'static str = concat!(
                "INSERT INTO ", $table, " (", stringify!($first) $(, ", ", stringify!($owner))* $(, ", ", stringify!($key))* $(, ", ", stringify!($fixed))*,
                ", ", stringify!($free) $(, ", ", stringify!($more))*,
                ") VALUES (?" $(, ", ?", record!(@none $owner))* $(, ", ?", record!(@none $key))* $(, ", ?", record!(@none $fixed))*,
                ", ?" $(, ", ?", record!(@none $more))*, ")",
            );

            fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
                let mut columns = Columns(row, at);
                Ok(Self { $($key: columns.next()?,)* $($fixed: columns.next()?,)* $free: columns.next()?, $($more: columns.next()?,)* })
            }

            fn values(&self) -> Vec<&dyn ToSql> {
                vec![$(&self.$key,)* $(&self.$fixed,)* &self.$free, $(&self.$more,)*]
            }
        }

        impl Put for $row {
            const PUT: &'static str = concat!(
                "INSERT INTO ", $table, " (", stringify!($first) $(, ", ", stringify!($owner))* $(, ", ", stringify!($key))* $(, ", ", stringify!($fixed))*,
                ", ", stringify!($free) $(, ", ", stringify!($more))*,
                ") VALUES (?" $(, ", ?", record!(@none $owner))* $(, ", ?", record!(@none $key))* $(, ", ?", record!(@none $fixed))*,
                ", ?" $(, ", ?", record!(@none $more))*,
                ") ON CONFLICT (", stringify!($first) $(, ", ", stringify!($owner))* $(, ", ", stringify!($key))*,
                ") DO UPDATE SET ", stringify!($free), " = excluded.", stringify!($free)
                $(, ", ", stringify!($more), " = excluded.", stringify!($more))*,
            );
            const BY_ID: &'static str =
                record!(@select $table ($($key,)* $($fixed,)* $free $(, $more)*) "WHERE org = ?1 AND environment = ?2 AND id = ?3");
        }

        impl Change for $row {
            fn key(&self) -> Vec<(&'static str, &dyn ToSql)> {
                vec![$((stringify!($key), &self.$key as &dyn ToSql),)*]
            }

            fn changes(&self, before: &Self) -> Vec<(&'static str, &dyn ToSql)> {
                let mut changes: Vec<(&'static str, &dyn ToSql)> = Vec::new();
                if self.$free != before.$free {
                    changes.push((stringify!($free), &self.$free));
                }
                $(if self.$more != before.$more {
                    changes.push((stringify!($more), &self.$more));
                })*
                changes
            }
        }
    };
    (@none $any:ident) => { "" };
    (@reads $row:ident $table:literal $columns:tt $($read:ident $rest:literal)*) => {
        impl $row {
            $(pub(super) const $read: &'static str = record!(@select $table $columns $rest);)*
        }
    };
    (@select $table:literal ($first:ident $(, $more:ident)*) $rest:literal) => {
        concat!("SELECT ", stringify!($first) $(, ", ", stringify!($more))*, " FROM ", $table, " ", $rest)
    };
}

impl Record for DataKeyRow {
    const TABLE: &'static str = "data_keys";
    const COLUMNS: &'static str = "org, key_id, master_key_id, wrapped, created_at";
    const INSERT: &'static str = "INSERT INTO data_keys (org, key_id, master_key_id, wrapped, created_at) VALUES (?, ?, ?, ?, ?)";
    const NAME: &'static str = "key_id";

    fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        let mut c = Columns(row, at);
        Ok(Self { org: c.next()?, key_id: c.next()?, master_key_id: c.next()?, wrapped: c.next()?, created_at: c.next()? })
    }

    fn values(&self) -> Vec<&dyn ToSql> {
        vec![&self.org, &self.key_id, &self.master_key_id, &self.wrapped, &self.created_at]
    }
}

record!(SigningKeyRow in "signing_keys" of (org, environment) named kid
    key (kid) fixed () free (sealed, created_at, retired_at));
record!(ApiKeyRow in "api_keys" of (org, environment) named id
    key (id) fixed () free (hash, name, ending, created_at, revoked_at)
    reads (BY_HASH "WHERE org = ?1 AND environment = ?2 AND hash = ?3"));
record!(AccountRow in "accounts" of (org, environment) named id
    key (id) fixed (created_at) free (record_id, name, properties_json, updated_at));
record!(SessionRow in "sessions" of (org, environment) named id
    key (id) fixed (account_id) free (kid, issued_at, expires_at, revoked_at));
record!(PortalLinkRow in "portal_links" of (org, environment) named session_id
    key (hash) fixed (account_id, session_id) free (config_id, once, created_at, expires_at));
record!(PortalPropertiesRow in "portal_properties" of (org, environment) named session_id
    key (session_id) fixed (account_id) free (properties_json, changed_at));
record!(FlowRow in "flows" of (org, environment) named id
    key (id) fixed (account_id, created_at)
    free (application, client_key, status, state_hash, state_used, cookie_hash, claim_hash, redirect_uri, return_to, sealed, options_json,
          connection_id, error_code, error_reason, expires_at, changed_at));
record!(ConnectionRow in "connections" of (org, environment) named id
    key (id) fixed (account_id, application)
    free (client_key, auth_type, status, is_default, identity_id, identity_label, grant_key, scopes_json, properties_json, sealed,
          secret_version, created_at, connected_at, expires_at, refreshed_at, last_error_json, refresh_print, presented, lease_owner,
          lease_boot, lease_until, cooldown_until, renew_at, used_at, trouble, tries, row_version)
    reads (OF_ACCOUNT "WHERE org = ?1 AND environment = ?2 AND account_id = ?3 ORDER BY application, is_default DESC, created_at, id",
           OF_APPLICATION "WHERE org = ?1 AND environment = ?2 AND account_id = ?3 AND application = ?4 ORDER BY application, is_default DESC, created_at, id"));
record!(ClientRow in "clients" of (org, environment) named application
    key (application, client_key, authority) fixed ()
    free (rejected_at, error_json, client_print, tries, next_at, probe_owner, probe_boot, probe_until, slot, closed_until)
    reads (OF_TENANT "WHERE org = ?1 AND environment = ?2",
           OF_APPLICATION "WHERE org = ?1 AND environment = ?2 AND application = ?3"));
record!(RegistrationRow in "registrations" of (org, environment) named application
    key (application, authority, client_key) fixed (created_at)
    free (sealed, secret_version, made_json, secret_expires_at, proven_at, ended_at, current, error_json, tries, next_at, lease_owner,
          lease_boot, lease_until));
record!(ConfigRow in "configs" of (org, environment) named config_id
    key (account_id, application, config_id) fixed () free (id, version, sealed, created_at, updated_at));
record!(ReceiptRow in "receipts" of (org, environment) named id
    key (id) fixed () free (account_id, application, body_json, created_at, finished_at));
record!(RevocationRow in "revocations" of (org, environment) named id
    key (id) fixed ()
    free (receipt_id, account_id, application, client_key, connection_id, grant_key, status, sealed, secret_version, attempts, next_at,
          lease_owner, lease_boot, lease_until, created_at));
record!(OwnCredentialsRow in "own_credentials" of (org, environment) named account_id
    key (account_id) fixed (created_at) free (sealed, secret_version, updated_at));
record!(ExecutionRow in "executions" of (org, environment) named id
    key (id) fixed (account_id, created_at) free (application, config_id, workflow, waited, status, error_code, ended_at));
record!(WebhookRow in "webhooks" of (org, environment) named id
    key (id) fixed (created_at)
    free (enabled, events_json, sealed, secret_version, seen, failing_since, failed_at, disabled_json, updated_at));
record!(DeliveryRow in "deliveries" of (org, environment) named id
    key (id) fixed (webhook_id, created_at)
    free (seq, event, payload_json, status, attempts, tries, next_at, lease_owner, lease_boot, lease_until, http_status, error_code, changed_at));
record!(NewEvent in "events" of (org, environment) named id
    key () fixed () free (id, event_type, account_id, application, data_json, at));
record!(AuditRow in "audit" of (org, environment) named seq
    key () fixed () free (seq, action, actor, account_id, application, connection_id, count, detail_json, at));
