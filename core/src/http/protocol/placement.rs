use base64ct::{Base64, Encoding};
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::{
    error::{Result, bail},
    manifest::{
        Placement,
        template::{self, Values},
    },
    model::Json,
    plugin::HttpRequest,
    xml,
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
        // The body may not be there yet: see [`place_in_body`].
        Placement::Body { .. } | Placement::Xml { .. } => Ok(()),
    }
}

/// Puts a credential into a finished body: a member of a JSON object, a field of a form or an element of an XML document, in place
/// of one of that name. Without a body it becomes a JSON object of its own; GET and HEAD stay without one.
///
/// # Errors
/// Those of [`place`]; `invalid_request` when the body is neither a JSON object nor a form, or where the element is missing.
pub fn place_in_body(request: &mut HttpRequest, placement: &Placement, values: &Values<'_>) -> Result<()> {
    if matches!(request.method.to_ascii_uppercase().as_str(), "GET" | "HEAD") {
        return Ok(());
    }
    let (name, value) = match placement {
        Placement::Body { name, value } => (name, value),
        Placement::Xml { path, value } => return place_in_xml(request, path, &Zeroizing::new(template::text(value, values)?)),
        _ => return Ok(()),
    };
    let value = Zeroizing::new(template::text(value, values)?);
    let is_form =
        request.headers.iter().any(|(n, v)| n.eq_ignore_ascii_case("content-type") && v.starts_with("application/x-www-form-urlencoded"));
    if is_form {
        let others: Vec<(String, String)> = form_urlencoded::parse(&request.body.0).into_owned().filter(|(n, _)| n != name).collect();
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(request.body.0.len() + 3 * (name.len() + value.len()) + 2));
        form.extend_pairs(others).append_pair(name, &value);
        request.set_body("application/x-www-form-urlencoded", Zeroizing::new(form.finish()).as_bytes());
        return Ok(());
    }
    let mut body: Json = match request.body.0.is_empty() {
        true => Json::Object(crate::model::JsonMap::new()),
        false => serde_json::from_slice(&request.body.0).unwrap_or_default(),
    };
    let Some(members) = body.as_object_mut() else {
        bail!(InvalidRequest, "the credential goes into the body, which must be a JSON object or a form");
    };
    members.insert(name.clone(), Json::String(value.to_string()));
    let Ok(written) = serde_json::to_vec(&body).map(Zeroizing::new) else { bail!(Internal, "a body could not be written") };
    if let Some(Json::String(secret)) = body.get_mut(name) {
        zeroize::Zeroize::zeroize(secret);
    }
    request.set_body("application/json", written.as_slice());
    Ok(())
}

fn place_in_xml(request: &mut HttpRequest, path: &str, value: &str) -> Result<()> {
    let filled = match std::str::from_utf8(&request.body.0) {
        Ok("") => Err("there is none"),
        Ok(document) => xml::put(document, path, value),
        Err(_) => Err("it is not UTF-8"),
    };
    match filled {
        Ok(mut document) => request.body.0 = Zeroizing::new(std::mem::take(&mut *document).into_bytes()),
        Err(trouble) => {
            bail!(InvalidRequest, "the credential goes into the element `{path}` of the XML document that the call sends, but {trouble}")
        }
    }
    Ok(())
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
    fn a_credential_in_the_body_joins_what_is_there() {
        let place_in = |method: &str, content_type: &str, body: &str| -> Result<String> {
            let mut request = HttpRequest::new(method, "https://api.example/x".parse().unwrap());
            if !body.is_empty() {
                request.set_body(content_type, body.as_bytes());
            }
            let placement = Placement::Body { name: "key".to_owned(), value: "{k}".to_owned() };
            place(&mut request, &placement, &Values::new().one("k", "s&\"1"))?;
            place_in_body(&mut request, &placement, &Values::new().one("k", "s&\"1"))?;
            Ok(String::from_utf8(request.body.0.to_vec()).unwrap())
        };
        assert_eq!(place_in("POST", "application/json", r#"{"a":[1],"key":"old"}"#).unwrap(), r#"{"a":[1],"key":"s&\"1"}"#);
        assert_eq!(place_in("POST", "application/x-www-form-urlencoded", "key=old&a=b%20c").unwrap(), "a=b+c&key=s%26%221");
        assert_eq!(place_in("DELETE", "", "").unwrap(), r#"{"key":"s&\"1"}"#);
        assert_eq!(place_in("GET", "", "").unwrap(), "");
        assert!(place_in("POST", "application/json", "[1]").is_err() && place_in("PUT", "text/csv", "a,b").is_err());
    }

    #[test]
    fn a_credential_in_xml_fills_its_element() {
        let place_in = |method: &str, content_type: &str, body: &[u8]| -> Result<(String, String)> {
            let mut request = HttpRequest::new(method, "https://api.example/x".parse().unwrap());
            if !body.is_empty() {
                request.set_body(content_type, body);
            }
            let placement = Placement::Xml { path: "/r/session".to_owned(), value: "{k}".to_owned() };
            place(&mut request, &placement, &Values::new().one("k", "s&1"))?;
            place_in_body(&mut request, &placement, &Values::new().one("k", "s&1"))?;
            let kind = request.headers.first().map(|(_, value)| value.to_string()).unwrap_or_default();
            Ok((kind, String::from_utf8(request.body.0.to_vec()).unwrap()))
        };
        let filled = ("text/xml".to_owned(), "<r><session>s&amp;1</session></r>".to_owned());
        assert_eq!(place_in("POST", "text/xml", b"<r><session/></r>").unwrap(), filled);
        assert_eq!(place_in("GET", "", b"").unwrap().1, "");
        for body in [&b""[..], b"{}", b"<r></r>", b"<r><session/><session/></r>", b"<r><session>\xff</session></r>"] {
            let error = place_in("POST", "text/xml", body).unwrap_err();
            assert!(error.is(crate::Code::InvalidRequest) && error.reason().contains("/r/session"), "{error}");
        }
        let mut request = HttpRequest::new("POST", "https://api.example/x".parse().unwrap());
        request.set_body("text/xml", b"<r><session/></r>".as_slice());
        let placement = Placement::Xml { path: "/r/session".to_owned(), value: "{k}".to_owned() };
        let error = place_in_body(&mut request, &placement, &Values::new().one("k", "s\u{1}1")).unwrap_err();
        assert!(error.is(crate::Code::InvalidRequest) && error.reason().contains("does not have"), "{error}");
        assert!(!format!("{error:?}").contains("s\u{1}1") && request.body.0.as_slice() == b"<r><session/></r>");
    }

    #[test]
    fn s54_no_value_adds_a_header() {
        for payload in ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "ü", "a ", "\u{2028}", "a\u{7f}"] {
            let error = placed(&bearer(), payload).unwrap_err();
            assert!(error.is(crate::Code::InvalidRequest) && !format!("{error:?}").contains(payload), "{payload:?}");
        }
    }
}
