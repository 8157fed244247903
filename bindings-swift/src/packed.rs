//! The form in which a credential crosses: its fields one after the other, in the order of core's schema. Numbers are little-endian: lengths and
//! counts 4 bytes, times and seats 8. A text is its length and its UTF-8; a list or a map its count and what is in it; a length of
//! [`NONE`] and a time of [`NEVER`] stand for nothing. `Packed.swift` and `Packed.kt` read it.

use smalt::{
    Timestamp,
    model::{AuthType, Credential},
};

/// The length of a text that is not there.
pub const NONE: u32 = u32::MAX;
/// A time that is not there.
pub const NEVER: i64 = i64::MIN;

struct Packed(Vec<u8>);

impl Packed {
    /// Nothing that is in memory has more.
    fn count(&mut self, count: usize) {
        self.0.extend(u32::try_from(count).unwrap_or(NONE - 1).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend(text.as_bytes());
    }

    fn maybe(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.0.extend(NONE.to_le_bytes()),
        }
    }

    fn time(&mut self, time: Option<Timestamp>) {
        self.0.extend(time.map_or(NEVER, Timestamp::millis).to_le_bytes());
    }

    fn list(&mut self, texts: &[String]) {
        self.count(texts.len());
        texts.iter().for_each(|text| self.text(text));
    }

    fn map<'a>(&mut self, entries: impl ExactSizeIterator<Item = (&'a String, &'a str)>) {
        self.count(entries.len());
        for (name, value) in entries {
            self.text(name);
            self.text(value);
        }
    }

    fn credential(&mut self, credential: &Credential) {
        // All of its fields: another one does not compile before it is here.
        let Credential { connection_id, application, auth_type, access_token, token_type, expires_at, scopes, values, properties } =
            credential;
        self.text(connection_id);
        self.text(application);
        self.text(match auth_type {
            AuthType::Oauth2 => "oauth2",
            AuthType::Keybased => "keybased",
        });
        self.maybe(access_token.as_ref().map(smalt::Secret::expose));
        self.maybe(token_type.as_deref());
        self.time(*expires_at);
        self.list(scopes);
        self.map(values.iter().map(|(name, value)| (name, value.expose())));
        self.map(properties.iter().map(|(name, value)| (name, &**value)));
    }
}

/// A credential.
pub fn credential(credential: &Credential) -> Vec<u8> {
    let mut packed = Packed(Vec::with_capacity(512));
    packed.credential(credential);
    packed.0
}

/// Seats, then a credential.
pub fn answer(seats: &[u64], credential: &Credential) -> Vec<u8> {
    let mut packed = Packed(Vec::with_capacity(512));
    packed.count(seats.len());
    seats.iter().for_each(|seat| packed.0.extend(seat.to_le_bytes()));
    packed.credential(credential);
    packed.0
}
