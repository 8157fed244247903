//! SQLite's errors in our words. None of them quotes a value.

use rusqlite::{ErrorCode, ffi};

use crate::error::{Code, Error, err};

/// What an error of SQLite means to a caller.
pub(super) fn fault(error: &rusqlite::Error) -> Error {
    if let rusqlite::Error::SqliteFailure(failure, _) = error {
        return match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => err!(StoreBusy, "the store's lock was not to be had"),
            ErrorCode::DatabaseCorrupt => err!(StoreCorrupt, "SQLite found a damaged page"),
            ErrorCode::NotADatabase => err!(StoreCorrupt, "the store's file is no database any more"),
            ErrorCode::ConstraintViolation if failure.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
                err!(LinkedAccountNotFound, "the linked account does not exist (any more)")
            }
            // The schema's triggers refuse nothing else.
            ErrorCode::ConstraintViolation if failure.extended_code == ffi::SQLITE_CONSTRAINT_TRIGGER => {
                err!(KeyRotated, "the data key under which a value was sealed is closed")
            }
            ErrorCode::ConstraintViolation => {
                err!(Internal, "a row broke a rule of the store's schema").with("sqlite", failure.extended_code)
            }
            ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ApiMisuse | ErrorCode::InternalMalfunction => {
                err!(Internal, "SQLite refused a statement").with("sqlite", failure.extended_code)
            }
            // Disk full, I/O error, read-only, no permission, cannot open, no memory: all of them may pass.
            _ => err!(StoreUnavailable, "{}", ffi::code_to_str(failure.extended_code)).with("sqlite", failure.extended_code),
        };
    }
    if undecodable(error) {
        return err!(StoreCorrupt, "a column holds a value of another type than was written");
    }
    err!(Internal, "SQLite refused a statement")
}

/// Whether a column could not be read as the type that it was written with.
fn undecodable(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(error, E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::Utf8Error(..) | E::InvalidColumnType(..))
}

/// [`fault`], naming the row when it is the data that is damaged.
pub(super) fn row_fault(error: &rusqlite::Error, table: &str, row: &str) -> Error {
    let told = fault(error);
    if told.is(Code::StoreCorrupt) {
        return err!(StoreCorrupt, "row `{row}` of `{table}` is damaged").with("table", table).with("row", row);
    }
    told
}

/// Whether another connection holds the lock that was asked for.
pub(super) fn busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
