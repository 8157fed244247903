//! Clients that prove themselves by a certificate (RFC 8705), against a TLS server that looks at it.

use std::path::PathBuf;

use base64ct::{Base64, Encoding};
use rustls::server::WebPkiClientVerifier;
use serde_json::json;

use super::*;
use crate::{
    Account, Secret, Smalt,
    backend::{ApiRequest, StartConnect},
    model::Json,
    plugin::ClientIdentity,
    project::Project,
    vault::LocalKey,
};

/// Certificate and key in PEM form, and the certificate as the server sees it.
struct Proof {
    certificate: Secret,
    key: Secret,
    der: Vec<u8>,
}

impl Proof {
    fn of((certificate, key): &(CertificateDer<'static>, PrivateKeyDer<'static>)) -> Self {
        let pem = |label: &str, der: &[u8]| {
            let text = Base64::encode_string(der);
            let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
        };
        Self {
            certificate: pem("CERTIFICATE", certificate).into(),
            key: pem("PRIVATE KEY", key.secret_der()).into(),
            der: certificate.to_vec(),
        }
    }

    fn identity(&self) -> ClientIdentity {
        ClientIdentity::from_pem(&self.certificate, Some(&self.key)).unwrap()
    }
}

fn self_signed(name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.der().clone(), key.serialize_der().try_into().unwrap())
}

/// A server that takes any client, and looks at the certificate of one that shows one: what is answered is up to `answer`, which
/// gets the request and the certificate. Connections are kept open. Who shows one that `trusted` does not vouch for is sent away.
fn checking(
    authority: &Authority,
    trusted: &[&CertificateDer<'static>],
    answer: impl Fn(&str, Option<&[u8]>) -> (u16, Json) + Send + Sync + 'static,
) -> Server {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|certificate| roots.add((*certificate).clone()).unwrap());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).allow_unauthenticated().build().unwrap();
    let (certificate, key) = authority.sign("good.test", |_| {});
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (config, answer) = (Arc::new(config), Arc::new(answer));
    Server::start(move |stream| {
        let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), stream);
        loop {
            let request = read_request(&mut stream)?;
            let shown = stream.conn.peer_certificates().and_then(|chain| chain.first()).map(|certificate| certificate.to_vec());
            let (status, body) = answer(&request, shown.as_deref());
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} Any\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).ok()?;
            stream.write_all(body.as_bytes()).ok()?;
            stream.flush().ok()?;
        }
    })
}

/// Trusts the authority, and finds every host here.
fn here(authority: &Authority) -> ReqwestTransport {
    let mut roots = RootCertStore::empty();
    roots.add(authority.1.clone()).unwrap();
    let policy = AddressPolicy::default().with(HostPort::parse("good.test").unwrap());
    transport(policy, TransportOptions { roots: Some(roots), lookup: resolving(|| vec![loopback()]), ..patient() })
}

#[tokio::test]
async fn each_identity_has_connections_of_its_own() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (one, two) = (Proof::of(&clients.sign("one", |_| {})), Proof::of(&clients.sign("two", |_| {})));
    let names = [(one.der.clone(), "one"), (two.der.clone(), "two")];
    let server = checking(&authority, &[&clients.1], move |_, shown| {
        let who = shown.map_or("nobody", |shown| names.iter().find(|(der, _)| der == shown).unwrap().1);
        (200, json!(who))
    });
    let transport = here(&authority);
    let ask = async |proof: Option<&Proof>| {
        let mut request = get(&format!("https://good.test:{}/", server.port));
        request.identity = proof.map(Proof::identity);
        transport.send(request).await.map(|answer| answer.json().unwrap().as_str().unwrap().to_owned())
    };
    // Never over a connection that another one proved, also when it comes again.
    for (proof, who) in
        [(Some(&one), "one"), (None, "nobody"), (Some(&two), "two"), (Some(&one), "one"), (None, "nobody"), (Some(&two), "two")]
    {
        assert_eq!(ask(proof).await.unwrap(), who);
    }
    assert_eq!(server.connections(), 3);

    // A certificate that the server does not trust proves nothing; one whose key is another's is not even shown.
    let stranger = Proof::of(&Authority::new().sign("one", |_| {}));
    let error = ask(Some(&stranger)).await.unwrap_err();
    assert!([Code::ProviderUnreachable, Code::ProviderError].contains(&error.code()), "{error}");
    let before = server.connections();
    let mixed = Proof { certificate: one.certificate.clone(), key: two.key.clone(), der: Vec::new() };
    let error = ask(Some(&mixed)).await.unwrap_err();
    assert_eq!((error.code(), server.connections()), (Code::ProjectInvalid, before));
}

#[test]
fn an_identity_is_read_from_pem_and_shows_nothing() {
    let proof = Proof::of(&Authority::new().sign("one", |_| {}));
    let both = Secret::new(format!("{}{}", proof.certificate.expose(), proof.key.expose()));
    assert!(ClientIdentity::from_pem(&both, None).unwrap() == proof.identity());
    assert_eq!(format!("{:?}", proof.identity()), "ClientIdentity(…)");
    for (certificate, key) in [
        (&proof.key, None),
        (&proof.certificate, None),
        (&Secret::new("canary"), Some(&proof.key)),
        (&proof.certificate, Some(&Secret::new("canary"))),
    ] {
        let error = ClientIdentity::from_pem(certificate, key).unwrap_err();
        assert!(error.is(Code::ProjectInvalid) && !error.reason().contains("canary") && !error.reason().contains("BEGIN"), "{error}");
    }
}

// ---- The engine.

fn form(request: &str) -> std::collections::BTreeMap<String, String> {
    url::form_urlencoded::parse(request.split("\r\n\r\n").nth(1).unwrap_or_default().as_bytes()).into_owned().collect()
}

/// A provider that gives tokens to the right certificate only, and whose API wants that certificate beside the token.
fn provider(authority: &Authority, trusted: &CertificateDer<'static>, right: Vec<u8>) -> Server {
    checking(authority, &[trusted], move |request, shown| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let form = form(request);
        let is_client = shown == Some(right.as_slice());
        match path {
            "/mtls/token" | "/mtls/revoke" if !is_client || form.get("client_id").map(String::as_str) != Some("ours") => {
                (401, json!({"error": "invalid_client"}))
            }
            "/mtls/token" if form.contains_key("client_secret") || request.to_lowercase().contains("\r\nauthorization:") => {
                (400, json!({"error": "invalid_request"}))
            }
            "/mtls/token" => (200, json!({"access_token": "bound", "refresh_token": "next", "expires_in": 1, "token_type": "Bearer"})),
            "/mtls/revoke" => (200, json!({})),
            "/api/me" if is_client && request.contains("Bearer bound") => (200, json!({"id": "u1"})),
            "/api/me" => (401, json!({"error": "invalid_token"})),
            _ => (404, json!({})),
        }
    })
}

struct Stage {
    account: Account,
    server: Server,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new(how: &str, trusted: &CertificateDer<'static>, proof: &Proof, together: bool) -> Self {
        let authority = Authority::new();
        let server = provider(&authority, trusted, proof.der.clone());
        let at = |path: &str| format!("https://good.test:{}{path}", server.port);
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| -> PathBuf {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let client = match together {
            true => {
                let both = write("client.pem", format!("{}{}", proof.certificate.expose(), proof.key.expose()));
                json!({"id": "ours", "certificate": {"file": both}})
            }
            false => {
                let certificate = write("client.pem", proof.certificate.expose().to_owned());
                json!({"id": "ours", "certificate": {"file": certificate}, "certificate_key": {"file": write("key.pem", proof.key.expose().to_owned())}})
            }
        };
        let manifest = json!({
            "manifest": 1, "slug": "bank", "name": "Bank", "description": "Wants certificates.",
            "api": {"base_url": at("/api/"), "client_certificate": true},
            "oauth2": {
                "authorize_url": at("/authorize"), "token_url": at("/token"), "client_auth": how,
                "revoke": {"url": at("/revoke")}, "identity": {"url": "me", "id": "/id"},
                "mtls_endpoint_aliases": {"token_url": at("/mtls/token"), "revoke_url": at("/mtls/revoke")},
            },
        });
        let project: Project = serde_json::from_value(json!({
            "version": 1, "org": {"public_url": "https://app.example"}, "apps": {"bank": {"client": {"test": client}}},
        }))
        .unwrap();
        let smalt = Smalt::in_memory()
            .keys(LocalKey::generate().unwrap())
            .transport(here(&authority))
            .manifest(serde_json::from_value(manifest).unwrap())
            .project_value(project)
            .open()
            .await
            .unwrap();
        let account = smalt.account("a");
        account.ensure().await.unwrap();
        Self { account, server, _folder: folder }
    }

    async fn connect(&self) -> crate::Result<crate::model::Connection> {
        let started = self.account.start_connect("bank", StartConnect::default()).await?;
        let page: url::Url = started.authorize_url.parse().unwrap();
        let state = page.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let callback = format!("{}?code=c&state={state}", started.redirect_uri);
        self.account.finish_connect(callback, Secret::new(started.cookie.value.expose())).await
    }
}

#[tokio::test]
async fn a_connection_lives_by_the_clients_certificate() {
    let clients = Authority::new();
    let signed = Proof::of(&clients.sign("client", |_| {}));
    let own = self_signed("client");
    for (how, trusted, proof, together) in
        [("tls_client_auth", clients.1.clone(), signed, false), ("self_signed_tls_client_auth", own.0.clone(), Proof::of(&own), true)]
    {
        let stage = Stage::new(how, &trusted, &proof, together).await;
        // Exchange and identity, then a renewal (tokens live for a second), a call, a stream, and the end.
        assert_eq!(stage.connect().await.unwrap().identity.unwrap().id, "u1", "{how}");
        assert_eq!(stage.account.request("bank", "GET", "me").await.unwrap().status, 200, "{how}");
        let call = ApiRequest { application: "bank".into(), method: "GET".into(), path: "me".into(), ..ApiRequest::default() };
        assert_eq!(stage.account.download(call).await.unwrap().status, 200, "{how}");
        assert_eq!(stage.account.disconnect("bank").await.unwrap().revocation.as_str(), "revoked", "{how}");
        assert!(stage.server.connections() >= 1);
    }
}

#[tokio::test]
async fn without_the_certificate_nothing_is_asked_and_with_another_one_it_is_the_clients_fault() {
    let clients = Authority::new();
    let right = Proof::of(&clients.sign("client", |_| {}));
    let stage = Stage::new("tls_client_auth", &clients.1, &right, false).await;
    std::fs::remove_file(stage._folder.path().join("key.pem")).unwrap();
    let error = stage.connect().await.unwrap_err();
    assert_eq!((error.code(), stage.server.connections()), (Code::SecretMissing, 0), "{error}");
    // Another client's: signed by the same authority, but not the one that the provider knows.
    let other = Proof::of(&clients.sign("client", |_| {}));
    std::fs::write(stage._folder.path().join("client.pem"), other.certificate.expose()).unwrap();
    std::fs::write(stage._folder.path().join("key.pem"), other.key.expose()).unwrap();
    let error = stage.connect().await.unwrap_err();
    assert_eq!(error.code(), Code::ClientRejected, "{error}");
    let said = format!("{error:?}");
    assert!(!said.contains("BEGIN") && !said.contains("PRIVATE"), "{said}");
}

/// Certificates that customers enter: each one's calls present its own.
#[tokio::test]
async fn customers_prove_themselves_by_certificates_of_their_own() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let proofs = [Proof::of(&clients.sign("one", |_| {})), Proof::of(&clients.sign("two", |_| {}))];
    let known: Vec<Vec<u8>> = proofs.iter().map(|proof| proof.der.clone()).collect();
    let server = checking(&authority, &[&clients.1], move |request, shown| {
        let Some(who) = known.iter().position(|der| Some(der.as_slice()) == shown) else {
            return (401, json!({"error": "invalid_client"}));
        };
        match request.split(' ').nth(1).unwrap_or_default() {
            "/token" if form(request).get("client_id") == Some(&format!("customer-{who}")) => {
                (200, json!({"access_token": format!("bound-{who}"), "expires_in": 3600}))
            }
            "/api/me" if request.contains(&format!("Bearer bound-{who}")) => (200, json!({"id": who})),
            _ => (401, json!({"error": "invalid_token"})),
        }
    });
    let at = |path: &str| format!("https://good.test:{}{path}", server.port);
    let manifest = json!({
        "manifest": 1, "slug": "payroll", "name": "Payroll", "description": "Wants certificates.",
        "api": {"base_url": at("/api/"), "client_certificate": true},
        "keybased": {
            "inputs": [
                {"name": "client_id", "label": "Id"},
                {"name": "client_certificate", "label": "Certificate", "type": "textarea", "secret": true},
                {"name": "client_key", "label": "Key", "type": "textarea", "secret": true},
            ],
            "placement": {"in": "header", "name": "Authorization", "value": "Bearer {access_token}"},
            "token": {"grant": "client_credentials", "url": at("/token"), "client": "inputs", "client_auth": "tls_client_auth"},
        },
    });
    let project: Project = serde_json::from_value(json!({"version": 1, "apps": {"payroll": {}}})).unwrap();
    let smalt = Smalt::in_memory()
        .keys(LocalKey::generate().unwrap())
        .transport(here(&authority))
        .manifest(serde_json::from_value(manifest).unwrap())
        .project_value(project)
        .open()
        .await
        .unwrap();
    let connect = async |who: usize, proof: &Proof| {
        let account = smalt.account(format!("a{who}"));
        account.ensure().await.unwrap();
        let connecting = account
            .connect("payroll")
            .input("client_id", format!("customer-{who}").as_str())
            .input("client_certificate", proof.certificate.clone())
            .input("client_key", proof.key.clone());
        connecting.await.map(|_| account)
    };
    for (who, proof) in proofs.iter().enumerate() {
        let account = connect(who, proof).await.unwrap();
        let answer = account.request("payroll", "GET", "me").await.unwrap();
        assert_eq!(answer.status, 200);
    }
    // Another one's certificate is refused, and what is none is said to be none.
    assert_eq!(connect(0, &proofs[1]).await.err().unwrap().code(), Code::CredentialsRejected);
    let none = Proof { certificate: "canary".into(), key: "canary".into(), der: Vec::new() };
    let error = connect(0, &none).await.err().unwrap();
    assert!(error.is(Code::InvalidInputs) && !format!("{error:?}").contains("canary"), "{error:?}");
}
