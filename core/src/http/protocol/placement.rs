use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::{
    error::{Result, bail},
    manifest::{
        Placement,
        template::{self, Values},
    },
    plugin::HttpRequest,
};

/// Where an access token goes unless the manifest says otherwise (RFC 6750 section 2.1).
pub fn bearer() -> Placement {
    Placement::Header { name: "authorization".to_owned(), value: "Bearer {access_token}".to_owned() }
}

/// Puts a credential into a request; a header or query parameter of the same name is replaced. An OAuth 1.0a signature is
/// made last, by [`super::sign_placed`].
///
/// # Errors
/// `invalid_inputs` names a missing value, or a user name with `:`; `invalid_request` when a header cannot carry the value.
pub fn place(request: &mut HttpRequest, placement: &Placement, values: &Values<'_>) -> Result<()> {
    match placement {
        Placement::Oauth1 { .. } => Ok(()),
        Placement::Header { name, value } => request.set_header(name, &Zeroizing::new(template::text(value, values)?)),
        Placement::Query { name, value } => {
            let value = Zeroizing::new(template::text(value, values)?);
            let others: Vec<(String, String)> = request.url.query_pairs().into_owned().filter(|(n, _)| n != name).collect();
            request.url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, &value);
            Ok(())
        }
        Placement::Basic { username, password } => {
            let username = Zeroizing::new(template::text(username, values)?);
            if username.contains(':') {
                bail!(InvalidInputs, "a user name for HTTP Basic holds no `:`");
            }
            let pair = Zeroizing::new(format!("{}:{}", *username, *Zeroizing::new(template::text(password, values)?)));
            let encoded = Zeroizing::new(Base64::encode_string(pair.as_bytes()));
            request.set_header("authorization", &Zeroizing::new(format!("Basic {}", *encoded)))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn placed(placement: &Placement, key: &str) -> Result<HttpRequest> {
        let mut request = HttpRequest::new("GET", "https://api.example/x?key=old&b=c".parse().unwrap());
        request.set_header("Authorization", "old")?;
        place(&mut request, placement, &Values::new().one("access_token", key))?;
        Ok(request)
    }

    #[test]
    fn a_credential_takes_its_place() {
        let request = placed(&bearer(), "tok").unwrap();
        assert_eq!(request.headers.iter().map(|(_, v)| v.as_str()).collect::<Vec<_>>(), ["Bearer tok"]);
        let query = Placement::Query { name: "key".to_owned(), value: "{access_token}".to_owned() };
        assert_eq!(placed(&query, "a&b=c").unwrap().url.query(), Some("b=c&key=a%26b%3Dc"));
        let basic = Placement::Basic { username: "{access_token}".to_owned(), password: String::new() };
        assert_eq!(placed(&basic, "sk").unwrap().headers[0].1.as_str(), format!("Basic {}", Base64::encode_string(b"sk:")));
        assert!(placed(&basic, "a:b").is_err());
    }

    #[test]
    fn s54_no_value_adds_a_header() {
        for payload in ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "ü", "a ", "\u{2028}", "a\u{7f}"] {
            let error = placed(&bearer(), payload).unwrap_err();
            assert!(error.is(crate::Code::InvalidRequest) && !format!("{error:?}").contains(payload), "{payload:?}");
        }
    }
}
