use std::sync::LazyLock;

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};

use crate::listen::Answer;

/// The whole look of the built-in pages; nothing is loaded from elsewhere.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:#f4f5f7;color:#1c1e21;font:16px/1.5 system-ui,sans-serif}\
main{box-sizing:border-box;width:min(26rem,calc(100vw - 2rem));padding:2rem;background:#fff;border-radius:12px;box-shadow:0 1px 8px #0002}\
h1{margin:0 0 .75rem;font-size:1.25rem;line-height:1.3;overflow-wrap:anywhere}\
p{margin:.5rem 0;overflow-wrap:anywhere}ul{padding-left:1.25rem}li{overflow-wrap:anywhere}\
label{display:block;margin:1rem 0 .25rem}\
select,button{box-sizing:border-box;font:inherit;padding:.5rem .9rem;border:1px solid #8a8f98;border-radius:8px;background:#fff;color:inherit}\
select{width:100%}.row{display:flex;gap:.75rem;margin-top:1.5rem}.row button{flex:1;cursor:pointer}\
button.yes{background:#1a56db;border-color:#1a56db;color:#fff}\
button:focus-visible,select:focus-visible{outline:3px solid #6b9bff;outline-offset:2px}\
.note{color:#5c6370;font-size:.875rem}\
@media(prefers-color-scheme:dark){body{background:#14161a;color:#e8eaed}main,select,button{background:#1f2228}.note{color:#a3a9b5}}";

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = Base64::encode_string(&Sha256::digest(STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'")
});

/// Makes text safe inside HTML, in elements and in quoted attributes alike.
pub fn html_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A self-contained page. `title` is escaped here; `main` is HTML whose texts the caller escaped.
pub(crate) fn page(status: u16, title: &str, main: &str) -> Answer {
    let title = html_escape(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>{main}</main></body></html>"
    );
    Answer::new(status, "text/html; charset=utf-8", html)
        .with("cache-control", "no-store")
        .with("content-security-policy", POLICY.as_str())
        .with("referrer-policy", "no-referrer")
        .with("x-content-type-options", "nosniff")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s66_every_sign_of_markup_is_escaped() {
        assert_eq!(html_escape("<a href='x' title=\"y\">&"), "&lt;a href=&#39;x&#39; title=&quot;y&quot;&gt;&amp;");
        assert_eq!(html_escape("ordinary — text"), "ordinary — text");
    }
}
