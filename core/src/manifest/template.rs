//! Texts with `{placeholders}`, and URLs that no value can lead elsewhere.
//!
//! `{name}` stands for a value, `{{` and `}}` for the braces themselves. A name holds letters, digits, `_` and `-`.
//! `{name|base64}` stands for what a function makes of it, see [`FUNCTIONS`]; `{user:password|base64}` joins values with `:`
//! first.
//!
//! In a URL's host a placeholder stands for whole DNS labels: for one, where at least two fixed labels follow it
//! (`{subdomain}.zendesk.com`, so that the registered domain is the manifest's own), and for more where the manifest
//! declares what the value must look like, see `manifest::hosts`. The finished URL is parsed again, and scheme, user
//! info, host and port are compared with what the template promises.

use std::collections::BTreeMap;

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{AppManifest, document::did_you_mean};
use crate::{
    Secret,
    error::{Result, bail, err},
};

/// The built-in placeholder for the sandbox's origin; only at the very start of a URL, never filled from a map.
pub const SANDBOX_ORIGIN: &str = "sandbox_origin";

/// The values of placeholders: several layers, of which the first that knows a name answers.
#[derive(Clone, Default)]
pub struct Values<'a> {
    layers: Vec<Layer<'a>>,
    sandbox_origin: Option<&'a str>,
    manifest: Option<&'a AppManifest>,
}

#[derive(Clone)]
enum Layer<'a> {
    One(&'a str, &'a str),
    Plain(&'a BTreeMap<String, String>),
    Secret(&'a BTreeMap<String, Secret>),
}

impl<'a> Values<'a> {
    /// No values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one value below those that are there.
    #[must_use]
    pub fn one(mut self, name: &'a str, value: &'a str) -> Self {
        self.layers.push(Layer::One(name, value));
        self
    }

    /// Adds one value above those that are there.
    #[must_use]
    pub fn first(mut self, name: &'a str, value: &'a str) -> Self {
        self.layers.insert(0, Layer::One(name, value));
        self
    }

    /// Adds a map below those that are there.
    #[must_use]
    pub fn map(mut self, map: &'a BTreeMap<String, String>) -> Self {
        self.layers.push(Layer::Plain(map));
        self
    }

    /// Adds a map of secrets below those that are there.
    #[must_use]
    pub fn secrets(mut self, map: &'a BTreeMap<String, Secret>) -> Self {
        self.layers.push(Layer::Secret(map));
        self
    }

    /// States the sandbox's origin (`http://127.0.0.1:4711`). No map can set it.
    #[must_use]
    pub fn sandbox_origin(mut self, origin: &'a str) -> Self {
        self.sandbox_origin = Some(origin);
        self
    }

    /// States whose declarations decide which values may be more than one label of a host.
    #[must_use]
    pub fn declared_by(mut self, manifest: &'a AppManifest) -> Self {
        self.manifest = Some(manifest);
        self
    }

    /// The value of a placeholder.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        if name == SANDBOX_ORIGIN {
            return self.sandbox_origin;
        }
        self.layers.iter().find_map(|layer| match layer {
            Layer::One(n, value) => (*n == name).then_some(*value),
            Layer::Plain(map) => map.get(name).map(String::as_str),
            Layer::Secret(map) => map.get(name).map(Secret::expose),
        })
    }

    fn need(&self, name: &str) -> Result<&'a str> {
        self.get(name).ok_or_else(|| err!(InvalidInputs, "the value `{name}` is missing").with("fields", name))
    }
}

/// The functions of templates: what each makes of a value.
pub const FUNCTIONS: [(&str, &str); 4] = [
    ("base64", "base64 with padding (RFC 4648 section 4)"),
    ("base64url", "base64 for URLs, without padding (RFC 4648 section 5)"),
    ("sha256", "SHA-256, in hexadecimal unless base64 follows"),
    ("hmac", "HMAC-SHA256 under the value named behind a colon, `{text|hmac:key}`; in hexadecimal unless base64 follows"),
];

#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Value(Place),
}

/// What stands between two braces.
#[derive(Debug, PartialEq)]
struct Place {
    /// Joined with `:`.
    names: Vec<String>,
    functions: Vec<Function>,
}

#[derive(Debug, PartialEq)]
enum Function {
    Base64,
    Base64Url,
    Sha256,
    Hmac(String),
}

impl Place {
    fn parse(inner: &str) -> Result<Self, String> {
        let mut parts = inner.split('|');
        let names: Vec<String> = parts.next().unwrap_or_default().split(':').map(str::to_owned).collect();
        let functions = parts.map(Function::parse).collect::<Result<Vec<_>, _>>()?;
        let keys = functions.iter().filter_map(|f| if let Function::Hmac(key) = f { Some(key) } else { None });
        for name in names.iter().chain(keys) {
            if name.is_empty() {
                return Err("a placeholder has no name".to_owned());
            }
            if let Some(c) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_' || *c == '-')) {
                return Err(format!("`{}` cannot stand in a placeholder's name", c.escape_default()));
            }
        }
        if names.len() > 1 && functions.is_empty() {
            return Err("several names in one placeholder need a function, e.g. `{user:password|base64}`".to_owned());
        }
        Ok(Self { names, functions })
    }

    /// The name, where it stands for nothing but its value.
    fn plain(&self) -> Option<&str> {
        match (&*self.names, self.functions.is_empty()) {
            ([name], true) => Some(name),
            _ => None,
        }
    }

    fn all_names(&self) -> impl Iterator<Item = &String> {
        let keys = self.functions.iter().filter_map(|f| if let Function::Hmac(key) = f { Some(key) } else { None });
        self.names.iter().chain(keys)
    }

    fn fill(&self, values: &Values<'_>) -> Result<Zeroizing<String>> {
        if let Some(name) = self.plain() {
            return Ok(Zeroizing::new(values.need(name)?.to_owned()));
        }
        let parts: Vec<&str> = self.names.iter().map(|name| values.need(name)).collect::<Result<_>>()?;
        let mut bytes = Zeroizing::new(parts.join(":").into_bytes());
        let mut is_text = true;
        for function in &self.functions {
            (bytes, is_text) = function.apply(&bytes, values)?;
        }
        Ok(Zeroizing::new(match is_text {
            true => String::from_utf8_lossy(&bytes).into_owned(),
            false => bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
                use std::fmt::Write;
                let _ = write!(hex, "{byte:02x}");
                hex
            }),
        }))
    }
}

impl Function {
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("base64", "") => Ok(Self::Base64),
            ("base64url", "") => Ok(Self::Base64Url),
            ("sha256", "") => Ok(Self::Sha256),
            ("hmac", key) if !key.is_empty() => Ok(Self::Hmac(key.to_owned())),
            ("hmac", _) => Err("`hmac` needs the name of its key, e.g. `{access_token|hmac:client_secret}`".to_owned()),
            (name, _) => {
                let known = FUNCTIONS.map(|(name, _)| name);
                let near = did_you_mean(name, known)
                    .map_or_else(|| format!("use one of: {}", known.join(", ")), |n| format!("did you mean `{n}`?"));
                Err(format!("`{}` is no function of templates; {near}", name.escape_debug()))
            }
        }
    }

    /// What it makes of some bytes, and whether that is text.
    fn apply(&self, bytes: &[u8], values: &Values<'_>) -> Result<(Zeroizing<Vec<u8>>, bool)> {
        let text = |text: String| (Zeroizing::new(text.into_bytes()), true);
        Ok(match self {
            Self::Base64 => text(Base64::encode_string(bytes)),
            Self::Base64Url => text(Base64UrlUnpadded::encode_string(bytes)),
            Self::Sha256 => (Zeroizing::new(Sha256::digest(bytes).to_vec()), false),
            Self::Hmac(key) => (Zeroizing::new(hmac(values.need(key)?.as_bytes(), bytes)?), false),
        })
    }
}

/// HMAC-SHA256 (RFC 2104, FIPS 180-4).
pub(crate) fn hmac(key: &[u8], bytes: &[u8]) -> Result<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| err!(Internal, "an HMAC key has no length that works"))?;
    mac.update(bytes);
    Ok(mac.finalize().into_bytes().to_vec())
}

fn pieces(template: &str) -> Result<Vec<Piece>, String> {
    let mut found = Vec::new();
    let mut text = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.next_if_eq(&c).is_some() => text.push(c),
            '}' => return Err("a `}` stands without `{`; write `}}` for the brace itself".to_owned()),
            '{' => {
                let mut inner = String::new();
                loop {
                    match chars.next() {
                        Some('}') => break,
                        Some(c) if c != '{' => inner.push(c),
                        Some(_) => return Err("`{` cannot stand in a placeholder's name".to_owned()),
                        None => return Err("a `{` is never closed; write `{{` for the brace itself".to_owned()),
                    }
                }
                let place = Place::parse(&inner)?;
                if !text.is_empty() {
                    found.push(Piece::Text(std::mem::take(&mut text)));
                }
                found.push(Piece::Value(place));
            }
            c => text.push(c),
        }
    }
    if !text.is_empty() {
        found.push(Piece::Text(text));
    }
    Ok(found)
}

/// The names of a template's placeholders, in order of first appearance.
///
/// # Errors
/// What is wrong with the template, for the linter.
pub fn placeholders(template: &str) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for piece in pieces(template)? {
        if let Piece::Value(place) = piece {
            for name in place.all_names() {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
        }
    }
    Ok(names)
}

/// Whether a template names one of these, also as the key of a function. A malformed one names nothing.
pub(crate) fn names(template: &str, wanted: &[&str]) -> bool {
    placeholders(template).is_ok_and(|names| names.iter().any(|name| wanted.contains(&name.as_str())))
}

/// Fills a template in; values are inserted as they are. Whoever uses the result checks it for its place.
///
/// # Errors
/// `invalid_inputs` names a missing value; `manifest_invalid` when the template is malformed.
pub fn text(template: &str, values: &Values<'_>) -> Result<String> {
    let mut filled = fill(template, |place| place.fill(values))?;
    Ok(std::mem::take(&mut *filled))
}

/// Fills a template of an XML document in: values are escaped, so that each stays one text or attribute.
///
/// # Errors
/// Those of [`text`]; `invalid_inputs` for a value that XML cannot hold.
pub(crate) fn xml(template: &str, values: &Values<'_>) -> Result<Zeroizing<String>> {
    fill(template, |place| {
        crate::xml::escape(&place.fill(values)?).ok_or_else(|| {
            let named = place.names.join(", ");
            err!(InvalidInputs, "`{named}` holds a character that XML 1.0 does not have, such as a control character").with("fields", named)
        })
    })
}

/// The template with what takes the places of its placeholders.
fn fill(template: &str, each: impl Fn(&Place) -> Result<Zeroizing<String>>) -> Result<Zeroizing<String>> {
    let mut parts = Vec::new();
    for piece in pieces(template).map_err(malformed)? {
        parts.push(match piece {
            Piece::Text(text) => Zeroizing::new(text),
            Piece::Value(place) => each(&place)?,
        });
    }
    // Enough room for all: growing would leave copies of secrets behind.
    let mut filled = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| filled.push_str(part));
    Ok(filled)
}

fn malformed(trouble: String) -> crate::Error {
    err!(ManifestInvalid, "a template is malformed: {trouble}")
}

/// A URL template, taken apart.
struct UrlTemplate {
    origin: Origin,
    path: Vec<Piece>,
    query: Option<Vec<Piece>>,
}

enum Origin {
    Sandbox,
    /// `open`: what the placeholders stand for decides about the last two labels.
    Host {
        scheme: &'static str,
        host: Vec<Piece>,
        port: Option<u16>,
        open: bool,
    },
}

impl UrlTemplate {
    fn parse(template: &str) -> Result<Self, String> {
        if let Some(rest) = template.strip_prefix("{sandbox_origin}") {
            if !rest.is_empty() && !rest.starts_with(['/', '?']) {
                return Err("after `{sandbox_origin}` a path must follow".to_owned());
            }
            let (path, query) = Self::tail(rest)?;
            return Ok(Self { origin: Origin::Sandbox, path, query });
        }
        let (scheme, rest) = if let Some(rest) = template.strip_prefix("https://") {
            ("https", rest)
        } else if let Some(rest) = template.strip_prefix("http://") {
            ("http", rest)
        } else {
            return Err("a URL must begin with `https://`".to_owned());
        };
        // A placeholder's name holds none of these, so the authority ends at the first of them.
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (host, port, open) = Self::authority(authority)?;
        let (path, query) = Self::tail(tail)?;
        Ok(Self { origin: Origin::Host { scheme, host, port, open }, path, query })
    }

    fn authority(authority: &str) -> Result<(Vec<Piece>, Option<u16>, bool), String> {
        let colon = authority.rfind(':').filter(|at| !authority[*at..].contains([']', '}']));
        let (host, port) = match colon {
            Some(at) => {
                let port = authority[at + 1..].parse().map_err(|_| "the port must be a fixed number".to_owned())?;
                (&authority[..at], Some(port))
            }
            None => (authority, None),
        };
        let pieces = pieces(host)?;
        if pieces.is_empty() {
            return Err("the host is missing".to_owned());
        }
        let bracketed = host.starts_with('[') && host.ends_with(']');
        for (at, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Text(text) => {
                    let fits = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-' || (bracketed && "[]:".contains(c));
                    if !text.chars().all(fits) {
                        return Err("the fixed part of a host may hold letters, digits, `.` and `-` only".to_owned());
                    }
                }
                Piece::Value(place) => {
                    let Some(name) = place.plain() else { return Err("no function can stand in a host".to_owned()) };
                    let before = at == 0 || matches!(&pieces[at - 1], Piece::Text(text) if text.ends_with('.'));
                    let after = pieces.get(at + 1).is_none_or(|next| matches!(next, Piece::Text(text) if text.starts_with('.')));
                    if !before || !after {
                        return Err(format!("`{{{name}}}` must stand for one whole label of the host"));
                    }
                }
            }
        }
        let fixed_end = match pieces.last() {
            Some(Piece::Text(text)) => text.split('.').filter(|label| !label.is_empty()).count(),
            _ => 0,
        };
        let open = fixed_end < 2 && pieces.iter().any(|piece| matches!(piece, Piece::Value(_)));
        Ok((pieces, port, open))
    }

    fn tail(tail: &str) -> Result<(Vec<Piece>, Option<Vec<Piece>>), String> {
        if tail.contains('#') {
            return Err("a fragment is never sent; remove the part after `#`".to_owned());
        }
        let (path, query) = match tail.split_once('?') {
            Some((path, query)) => (path, Some(pieces(query)?)),
            None => (tail, None),
        };
        let path = pieces(path)?;
        let names = path.iter().chain(query.iter().flatten());
        if names.into_iter().any(|piece| matches!(piece, Piece::Value(place) if place.all_names().any(|name| name == SANDBOX_ORIGIN))) {
            return Err("`{sandbox_origin}` may stand at the very start of a URL only".to_owned());
        }
        Ok((path, query))
    }
}

/// What is wrong with a URL template, for the linter; values are not needed. `open` answers whether a placeholder may decide
/// about the end of a host, see `manifest::hosts`.
///
/// # Errors
/// The mistake in words.
pub fn lint_url(template: &str, open: impl Fn(&str) -> bool) -> Result<(), String> {
    let parsed = UrlTemplate::parse(template)?;
    match deciders(&parsed.origin).find(|name| !open(name)) {
        Some(_) => Err("after a placeholder in a host at least two fixed labels must follow, e.g. `.example.com`".to_owned()),
        None => Ok(()),
    }
}

/// The placeholders that decide about the last two labels of a host.
fn deciders(origin: &Origin) -> impl Iterator<Item = &str> {
    let pieces: &[Piece] = match origin {
        Origin::Host { host, open: true, .. } => host,
        _ => &[],
    };
    let names = pieces.iter().filter_map(|piece| if let Piece::Value(place) = piece { place.plain() } else { None });
    // With one fixed label behind it the last placeholder decides, with none the last two may.
    let fixed_end = matches!(pieces.last(), Some(Piece::Text(_)));
    let skip = names.clone().count().saturating_sub(if fixed_end { 1 } else { 2 });
    names.skip(skip)
}

/// The placeholders of a URL template that decide about the end of its host, and so whose host it is.
pub(crate) fn host_deciders(template: &str) -> Vec<String> {
    UrlTemplate::parse(template).map(|parsed| deciders(&parsed.origin).map(str::to_owned).collect()).unwrap_or_default()
}

/// Fills a URL template in. Values are percent-encoded in the path and form-encoded in the query.
///
/// # Errors
/// `host_mismatch` when a value is no DNS label where one is expected, would leave the path, or the finished URL leads
/// elsewhere than the template promises; `invalid_inputs` names a missing value; `manifest_invalid`.
pub fn url(template: &str, values: &Values<'_>) -> Result<Url> {
    let parsed = UrlTemplate::parse(template).map_err(malformed)?;
    let (origin, promised) = match &parsed.origin {
        Origin::Sandbox => {
            let origin = values.need(SANDBOX_ORIGIN)?;
            let url = Url::parse(origin).map_err(|_| err!(ProjectInvalid, "the sandbox's origin is no URL"))?;
            let bare = matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            if !bare || !url.username().is_empty() || url.password().is_some() {
                bail!(ProjectInvalid, "the sandbox's origin must be a scheme, host and port only");
            }
            (origin.trim_end_matches('/').to_owned(), url)
        }
        Origin::Host { scheme, host, port, .. } => {
            let deciding: Vec<&str> = deciders(&parsed.origin).collect();
            let host = fill_host(host, &deciding, values)?;
            let origin = match port {
                Some(port) => format!("{scheme}://{host}:{port}"),
                None => format!("{scheme}://{host}"),
            };
            let url = Url::parse(&origin).map_err(|_| err!(HostMismatch, "the host that the values make is none"))?;
            // A bare host can still be something else after the parser's normalisation, e.g. a number.
            if url.host_str() != Some(&host.to_ascii_lowercase()) {
                bail!(HostMismatch, "the host that the values make is another than the application's");
            }
            (origin, url)
        }
    };
    let mut finished = origin;
    finished.push_str(&fill_path(&parsed.path, values)?);
    if let Some(query) = &parsed.query {
        finished.push('?');
        for piece in query {
            match piece {
                Piece::Text(text) => finished.push_str(text),
                Piece::Value(place) => finished.extend(form_urlencoded::byte_serialize(place.fill(values)?.as_bytes())),
            }
        }
    }
    let url = Url::parse(&finished).map_err(|_| err!(HostMismatch, "the values do not make a URL"))?;
    let same = url.scheme() == promised.scheme()
        && url.host() == promised.host()
        && url.port_or_known_default() == promised.port_or_known_default()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    if !same {
        bail!(HostMismatch, "the finished URL leads elsewhere than its template");
    }
    Ok(url)
}

/// Fills in a URL template, or a path that is resolved below the template `base`.
///
/// # Errors
/// As [`url`]; `manifest_invalid` when a path has no base.
pub fn url_below(base: Option<&str>, template: &str, values: &Values<'_>) -> Result<Url> {
    if template.contains("://") || template.starts_with("{sandbox_origin}") {
        return url(template, values);
    }
    let Some(base) = base else {
        bail!(ManifestInvalid, "the path `{template}` needs `api.base_url`");
    };
    if base.contains('?') {
        bail!(ManifestInvalid, "`api.base_url` must not hold a query, since paths are put after it");
    }
    url(&format!("{}/{}", base.trim_end_matches('/'), template.trim_start_matches('/')), values)
}

/// Whether a text is one DNS label: 1 to 63 letters, digits and `-`, none at either end (RFC 1123 section 2.1).
pub fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A value that decides about the end of the host must be declared; one that does not may always be a bare label.
fn fill_host(host: &[Piece], deciding: &[&str], values: &Values<'_>) -> Result<String> {
    let mut filled = String::new();
    for piece in host {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Value(place) => {
                let name = place.plain().ok_or_else(|| malformed("no function can stand in a host".to_owned()))?;
                let value = values.need(name)?;
                let declared = || values.manifest.is_some_and(|manifest| manifest.fits_host(name, value));
                let fits = if deciding.contains(&name) { declared() } else { is_dns_label(value) || declared() };
                if !fits {
                    let expected = match deciding.contains(&name) {
                        true => "a host of the form that the application's manifest states",
                        false => "one bare name of letters, digits and `-`",
                    };
                    return Err(err!(HostMismatch, "`{name}` must be {expected}").with("fields", name));
                }
                filled.push_str(value);
            }
        }
    }
    Ok(filled)
}

fn fill_path(path: &[Piece], values: &Values<'_>) -> Result<String> {
    let mut filled = String::new();
    for piece in path {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Value(place) => {
                let value = place.fill(values)?;
                if value.is_empty() {
                    let name = place.names.join(":");
                    return Err(err!(InvalidInputs, "the value `{name}` is empty").with("fields", name));
                }
                percent_encode(&value, &mut filled);
            }
        }
    }
    // The parser would resolve them, whatever the encoding; a value must not climb out of its place.
    let climbs = |segment: &str| matches!(segment.replace("%2e", ".").replace("%2E", ".").as_str(), "." | "..");
    if filled.split('/').any(climbs) {
        bail!(HostMismatch, "a value would have left the application's path");
    }
    Ok(filled)
}

/// Everything but RFC 3986's unreserved characters becomes `%XX`.
fn percent_encode(value: &str, into: &mut String) {
    use std::fmt::Write;
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(byte as char);
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
pub(crate) mod tests;
