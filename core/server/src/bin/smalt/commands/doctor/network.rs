//! Whether the hosts of the offered applications answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use smalt::{
    Result, Timestamp,
    http::{AddressPolicy, HostPort, ReqwestTransport},
    manifest::{
        AppManifest, SANDBOX_SLUGS,
        template::{self, Values},
    },
    plugin::{HttpRequest, HttpTransport},
    project::Project,
};
use url::Url;

use super::Check;

/// How long a host may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks every host once, all at the same time. Also answers the time at one of them.
pub async fn check(project: &Project, apps: &[Arc<AppManifest>]) -> (Vec<Check>, Option<Timestamp>) {
    let sandbox = project.sandbox.url.as_deref().and_then(|url| Url::parse(url).ok());
    let transport = match transport(project, sandbox.as_ref()) {
        Ok(transport) => Arc::new(transport),
        Err(error) => return (vec![Check::error("network", &error)], None),
    };
    // By host: several applications may share one.
    let mut hosts: BTreeMap<String, (Url, Vec<String>)> = BTreeMap::new();
    let mut checks = Vec::new();
    for app in apps {
        let is_sandbox = SANDBOX_SLUGS.contains(&app.slug.as_str());
        if is_sandbox && sandbox.is_none() {
            continue;
        }
        let token = app.oauth2.as_ref().map(|oauth| &oauth.token_url);
        let token = token.or(app.oauth1.as_ref().map(|oauth| &oauth.request_token_url));
        let Some(wanted) = token.or(app.api.base_url.as_ref()) else { continue };
        let variables = app.variable_values(project.apps.get(&app.slug).map(|s| &s.variables).unwrap_or(&BTreeMap::new()));
        let mut values = Values::new().map(&variables);
        let origin = sandbox.as_ref().map(|url| url.origin().ascii_serialization());
        if let Some(origin) = &origin {
            values = values.sandbox_origin(origin);
        }
        match template::url(wanted, &values) {
            Ok(url) => {
                let name = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
                hosts.entry(name).or_insert_with(|| (url, Vec::new())).1.push(app.slug.clone());
            }
            // Where the host depends on what a user enters, there is nobody to ask yet.
            Err(_) => checks.push(Check::ok(format!("reach {}", app.slug), "its host depends on what the user enters")),
        }
    }
    let asked: Vec<_> = hosts
        .into_iter()
        .map(|(host, (url, apps))| {
            let transport = transport.clone();
            let asking = tokio::spawn(async move {
                let mut request = HttpRequest::new("HEAD", url);
                request.timeout = PATIENCE;
                transport.send(request).await
            });
            (host, apps, asking)
        })
        .collect();
    let mut time = None;
    for (host, apps, asking) in asked {
        let name = format!("reach {}", apps.join(", "));
        match asking.await {
            // Whatever it says: somebody is there.
            Ok(Ok(answer)) => {
                // The sandbox's clock is this machine's own.
                if !host.starts_with("127.") {
                    time = time.or_else(|| answer.header("date").and_then(http_date));
                }
                checks.push(Check::ok(name, format!("{host} answers")));
            }
            Ok(Err(error)) if apps.iter().any(|slug| SANDBOX_SLUGS.contains(&slug.as_str())) => {
                let message = format!("no sandbox answers at {host} ({})", error.code().as_str());
                checks.push(Check::fail(name, message, "run `smalt sandbox`, or take `url` out of [sandbox] in the project file"));
            }
            Ok(Err(error)) => {
                let message = Check::error("", &error).message;
                checks.push(Check::fail(name, message, "look at this machine's network, name service and firewall"));
            }
            Err(_) => checks.push(Check::fail(name, "the check itself failed", "run it again")),
        }
    }
    (checks, time)
}

/// The engine's own way out, with the same list of hosts.
fn transport(project: &Project, sandbox: Option<&Url>) -> Result<ReqwestTransport> {
    let policy = AddressPolicy::new(&project.network)?;
    let own = sandbox.filter(|_| project.sandbox.enabled).and_then(HostPort::of);
    ReqwestTransport::new(own.into_iter().fold(policy, AddressPolicy::with))
}

/// An HTTP date, e.g. `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<_> = text.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = parts[..] else { return None };
    let month = MONTHS.iter().position(|m| *m == month)? + 1;
    format!("{year}-{month:02}-{day}T{time}.000Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Timestamp::from_millis(784_111_777_000)));
        for wrong in ["", "yesterday", "Sun, 06 Nox 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"] {
            assert_eq!(http_date(wrong), None, "{wrong}");
        }
    }
}
