//! Each server's ways against the table of what was measured at the real one (`servers.json`).

use std::collections::BTreeMap;

use super::*;

/// A link of an account: what the code exchange gave.
struct Link {
    access: String,
    refresh: String,
    answer: Got,
}

struct Subject {
    bench: Bench,
    seen: BTreeMap<&'static str, String>,
    browsers: usize,
}

fn said(got: &Got) -> String {
    let body: Value = serde_json::from_str(&got.body).unwrap_or_default();
    match body["error"].as_str() {
        Some(error) => format!("{} {error}", got.status),
        None => got.status.to_string(),
    }
}

/// How it is described; empty where it is not.
fn described(got: &Got) -> String {
    let body: Value = serde_json::from_str(&got.body).unwrap_or_default();
    body["error_description"].as_str().unwrap_or_default().to_owned()
}

fn challenge(got: &Got) -> String {
    let line = got.head.lines().find_map(|line| line.strip_prefix("www-authenticate: "));
    match line.and_then(|line| line.split(' ').next()) {
        Some("basic") => "Basic".to_owned(),
        Some("bearer") => "Bearer".to_owned(),
        Some(other) => other.to_owned(),
        None => "no challenge".to_owned(),
    }
}

fn keys(value: &Value) -> String {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys.join(",")
}

fn alive(got: &Got) -> &'static str {
    if got.status == 200 { "alive" } else { "dead" }
}

fn came_back(callback: &Value) -> String {
    format!("{} ({})", callback["error"].as_str().unwrap_or("a code"), keys(callback))
}

fn base64url(bytes: &[u8]) -> String {
    use base64ct::Encoding;
    base64ct::Base64UrlUnpadded::encode_string(bytes)
}

/// The key of the conformance cases; of no use elsewhere.
fn rsa_key() -> ring::signature::RsaKeyPair {
    use base64ct::Encoding;
    let pem = include_str!("../../../../tests/conformance/keys/rsa.pem");
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    ring::signature::RsaKeyPair::from_pkcs8(&base64ct::Base64::decode_vec(&body).unwrap()).unwrap()
}

fn verifier() -> String {
    ids::new_token().unwrap()
}

impl Subject {
    async fn new(server: ServerKind) -> Self {
        let bench = Bench::new().await;
        bench.control.behave_as(server);
        assert_eq!(bench.order(json!({"do": "behave_as", "server": server})).await.status, 200);
        Self { bench, seen: BTreeMap::new(), browsers: 0 }
    }

    fn see(&mut self, row: &'static str, what: impl Into<String>) {
        assert!(self.seen.insert(row, what.into()).is_none(), "{row} twice");
    }

    fn browser(&mut self) -> String {
        self.browsers += 1;
        format!("browser-{}", self.browsers)
    }

    async fn code(&mut self, verifier: &str) -> String {
        let browser = self.browser();
        self.bench.code(verifier, &[("sandbox_browser", &browser)]).await["code"].as_str().unwrap().to_owned()
    }

    async fn link_in(&self, browser: &str, scope: &str) -> Link {
        let verifier = verifier();
        let code = self.bench.code(&verifier, &[("sandbox_browser", browser), ("scope", scope)]).await;
        let answer = self.bench.redeem(code["code"].as_str().unwrap(), &verifier).await;
        Link { access: answer.text("access_token"), refresh: answer.text("refresh_token"), answer }
    }

    async fn link(&mut self) -> Link {
        let browser = self.browser();
        self.link_in(&browser, "items.read").await
    }

    async fn access(&self, link: &Link) -> &'static str {
        alive(&self.bench.userinfo(&link.access).await)
    }

    async fn refresh(&self, link: &Link) -> String {
        said(&self.bench.refresh(&link.refresh).await)
    }

    async fn revoke(&self, token: &str, secret: &str) -> Got {
        let form = format!("client_id={CLIENT_ID}&client_secret={secret}&token={token}");
        self.bench.call("POST", "/revoke", FORM, &form).await
    }

    /// An exchange whose parameters are as given; an empty one is left out.
    async fn exchange(&self, code: &str, with: &[(&str, &str)]) -> Got {
        let usual = [
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
        ];
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let pairs = usual.iter().filter(|(name, _)| with.iter().all(|(own, _)| own != name)).chain(with);
        form.extend_pairs(pairs.filter(|(_, value)| !value.is_empty()));
        self.bench.call("POST", "/token", FORM, &form.finish()).await
    }

    async fn codes(&mut self) {
        let v = verifier();
        let callback = self.bench.code(&v, &[("scope", "items.read")]).await;
        self.see("callback", keys(&callback));
        let issuer = match callback["iss"].as_str() {
            Some(issuer) if issuer == self.bench.sandbox.origin() => "the issuer",
            Some(_) => "another",
            None => "no",
        };
        self.see("iss in the callback", issuer);
        self.see("code length", callback["code"].as_str().unwrap().len().to_string());
        let link = self.link().await;
        let body = link.answer.json();
        self.see("exchange", keys(&body));
        self.see("token_type", link.answer.text("token_type"));
        self.see("scope for items.read", body["scope"].as_str().unwrap_or("not said"));
        self.see("token lengths", format!("{} {}", link.access.len(), link.refresh.len()));
        self.see("refresh_expires_in", body["refresh_expires_in"].to_string());
        let cache = link.answer.head.lines().find_map(|line| line.strip_prefix("cache-control: ")).unwrap().to_owned();
        self.see("cache-control", cache);

        let code = self.code(&v).await;
        let answer = self.bench.redeem(&code, &v).await;
        let link = Link { access: answer.text("access_token"), refresh: answer.text("refresh_token"), answer };
        let again = self.bench.redeem(&code, &v).await;
        self.see("code again", said(&again));
        self.see("code again, described as", described(&again));
        let after = format!("{}, {}", self.access(&link).await, self.refresh(&link).await);
        self.see("code again: access, refresh", after);

        let code = self.code(&v).await;
        let wrong = self.bench.redeem(&code, &verifier()).await;
        self.see("wrong verifier", said(&wrong));
        self.see("wrong verifier, described as", described(&wrong));
        let right = self.bench.redeem(&code, &v).await;
        self.see("wrong verifier, then the right one", said(&right));
        for (row, text, with) in [
            ("no verifier", Some("no verifier, described as"), vec![]),
            (
                "wrong redirect_uri",
                Some("wrong redirect_uri, described as"),
                vec![("code_verifier", v.as_str()), ("redirect_uri", "http://127.0.0.1:9/other")],
            ),
            ("no redirect_uri", None, vec![("code_verifier", v.as_str()), ("redirect_uri", "")]),
        ] {
            let code = self.code(&v).await;
            let got = self.exchange(&code, &with).await;
            self.see(row, said(&got));
            if let Some(text) = text {
                self.see(text, described(&got));
            }
        }
        let code = self.code(&v).await;
        let got = self.exchange(&code, &[("code_verifier", &v), ("client_secret", "wrong")]).await;
        self.see("wrong secret", format!("{}, {}", said(&got), challenge(&got)));
        self.see("wrong secret, described as", described(&got));
        let got = self.bench.redeem(&code, &v).await;
        self.see("wrong secret, then the right one", said(&got));
        let got = self.bench.redeem("junk", &v).await;
        self.see("unknown code", said(&got));
        self.see("unknown code, described as", described(&got));
        let got = self.bench.token(&[("grant_type", "password")]).await;
        self.see("unknown grant_type", said(&got));
    }

    async fn authorize(&mut self) {
        let v = verifier();
        for (row, more) in [
            ("authorize: no PKCE", vec![("code_challenge", ""), ("code_challenge_method", "")]),
            ("authorize: PKCE plain", vec![("code_challenge", v.as_str()), ("code_challenge_method", "plain")]),
            ("authorize: unknown scope", vec![("scope", "items.read nope:scope")]),
            ("user denies", vec![("sandbox_decision", "deny")]),
        ] {
            let browser = self.browser();
            let callback = self.bench.code(&v, &[more, vec![("sandbox_browser", browser.as_str())]].concat()).await;
            // Without a session to name, Keycloak names none beside a code either.
            let callback = match callback {
                Value::Object(mut all) if all.contains_key("code") => {
                    all.remove("session_state");
                    Value::Object(all)
                }
                other => other,
            };
            self.see(row, came_back(&callback));
        }
        // What was asked with `plain` can be redeemed.
        if self.bench.control.shared.state().ways.pkce_plain {
            let browser = self.browser();
            let more = [("code_challenge", v.as_str()), ("code_challenge_method", "plain"), ("sandbox_browser", browser.as_str())];
            let code = self.bench.code(&v, &more).await;
            assert_eq!(self.bench.redeem(code["code"].as_str().unwrap(), &v).await.status, 200);
        }
        let error = visit(&self.bench.authorize_url(&v, &[("redirect_uri", "http://evil.example/cb")])).await.unwrap_err();
        self.see("authorize: wrong redirect_uri", format!("page {}", error.info().context["status"]));
        self.bench.control.auto_consent(None);
        let callback = self.bench.code(&v, &[("prompt", "none")]).await;
        self.see("authorize: prompt=none, nobody there", came_back(&callback));
        let browser = self.browser();
        self.bench.code(&v, &[("sandbox_browser", &browser), ("sandbox_user", "ada")]).await;
        // Nobody presses a button here: who is not remembered sees the page, and does not come back.
        let again = visit(&self.bench.authorize_url(&v, &[("sandbox_browser", &browser)])).await;
        self.see("second authorize, same browser", if again.is_ok() { "callback" } else { "the page first" });
        self.bench.control.auto_consent(Some("ada"));
    }

    async fn refreshes(&mut self) {
        let link = self.link().await;
        let got = self.bench.refresh(&link.refresh).await;
        self.see("refresh", keys(&got.json()));
        let rotated = if got.text("refresh_token") == link.refresh { "kept" } else { "rotated" };
        let old = self.access(&link).await;
        self.see("refresh: old access, refresh token", format!("{old}, {rotated}"));
        let newest = Link { access: got.text("access_token"), refresh: got.text("refresh_token"), answer: got };
        let again = self.bench.refresh(&link.refresh).await;
        self.see("refresh token again", said(&again));
        self.see("refresh token again, described as", described(&again));
        let after = format!("{}, {}", self.access(&newest).await, self.refresh(&newest).await);
        self.see("refresh token again: newest access, refresh", after);

        let link = self.link().await;
        let all = futures_util::future::join_all((0..8).map(|_| self.bench.refresh(&link.refresh))).await;
        let winners: Vec<&Got> = all.iter().filter(|got| got.status == 200).collect();
        let then = said(&self.bench.refresh(&winners[0].text("refresh_token")).await);
        let count = format!("{} of {}", winners.len(), all.len());
        self.see("8 racing refreshes", count);
        self.see("8 racing refreshes: the winner's token", then);

        let link = self.link().await;
        let wider = [("grant_type", "refresh_token"), ("refresh_token", link.refresh.as_str()), ("scope", "items.read items.write")];
        let got = self.bench.token(&wider).await;
        self.see("refresh with a wider scope", said(&got));
        let got = self.bench.refresh("junk").await;
        self.see("refresh, junk token", said(&got));
        self.see("refresh, junk token, described as", described(&got));
        let got = self.bench.userinfo("junk").await;
        self.see("junk access token at the API", format!("{}, {}", got.status, challenge(&got)));
    }

    async fn revocations(&mut self) {
        let link = self.link().await;
        let got = self.revoke(&link.refresh, CLIENT_SECRET).await;
        self.see("revoke refresh token", said(&got));
        let after = format!("{}, {}", self.access(&link).await, self.refresh(&link).await);
        self.see("revoke refresh token: access, refresh", after);
        let got = self.revoke(&link.refresh, CLIENT_SECRET).await;
        self.see("revoke it again", said(&got));
        let got = self.revoke("junk", CLIENT_SECRET).await;
        self.see("revoke junk", said(&got));
        let link = self.link().await;
        self.revoke(&link.access, CLIENT_SECRET).await;
        let after = format!("{}, {}", self.access(&link).await, self.refresh(&link).await);
        self.see("revoke access token: access, refresh", after);
        let link = self.link().await;
        let got = self.revoke(&link.refresh, "wrong").await;
        self.see("revoke with wrong secret", said(&got));
    }

    async fn siblings(&mut self) {
        let (first, second) = (self.link().await, self.link().await);
        self.revoke(&first.refresh, CLIENT_SECRET).await;
        let other = self.refresh(&second).await;
        self.see("linked in two browsers, first revoked: the other", other);

        let browser = self.browser();
        let (first, second) = (self.link_in(&browser, "items.read").await, self.link_in(&browser, "items.read").await);
        self.revoke(&first.refresh, CLIENT_SECRET).await;
        let other = format!("{}, {}", self.access(&second).await, self.refresh(&second).await);
        self.see("linked in one browser, first revoked: the other's access, refresh", other);

        let browser = self.browser();
        let (first, second) = (self.link_in(&browser, "items.read").await, self.link_in(&browser, "items.read").await);
        self.refresh(&first).await;
        self.refresh(&first).await;
        let other = self.refresh(&second).await;
        self.see("linked in one browser, first's refresh token again: the other", other);

        let (first, second) = (self.link().await, self.link().await);
        let all = format!("{}, {}, {}", self.access(&first).await, self.refresh(&first).await, self.refresh(&second).await);
        self.see("linked in two browsers: first's access, first's refresh, the other's refresh", all);

        let browser = self.browser();
        let first = self.link_in(&browser, "items.read").await;
        self.link_in(&browser, "items.read").await;
        let all = self.refresh(&first).await;
        self.see("linked in one browser: first's refresh", all);
    }

    /// A client that proves itself by JWTs (RFC 7523 section 2.2): each answer in the table's order.
    async fn assertions(&mut self) {
        let rsa = rsa_key();
        let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(rsa.public());
        let key = json!({"kty": "RSA", "n": base64url(&public.n), "e": base64url(&public.e)});
        let order = json!({"do": "register_client", "client_id": "asserting", "public_key": key});
        self.bench.control.apply_json(order).unwrap();
        let origin = self.bench.sandbox.origin();
        for (row, client, algorithm) in [("client assertion HS256", CLIENT_ID, "HS256"), ("client assertion RS256", "asserting", "RS256")] {
            let sign = |text: &str| match algorithm {
                "HS256" => {
                    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, CLIENT_SECRET.as_bytes());
                    base64url(ring::hmac::sign(&key, text.as_bytes()).as_ref())
                }
                _ => {
                    let mut signature = vec![0; rsa.public().modulus_len()];
                    let random = ring::rand::SystemRandom::new();
                    rsa.sign(&ring::signature::RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
                    base64url(&signature)
                }
            };
            let mut all = Vec::new();
            let used = ids::new_token().unwrap();
            for (what, audience, jti) in [
                ("other aud", "https://elsewhere.example".to_owned(), ids::new_token().unwrap()),
                ("aud = issuer", origin.clone(), used.clone()),
                ("same jti again", origin.clone(), used),
                ("aud = token URL", format!("{origin}/token"), ids::new_token().unwrap()),
            ] {
                let now = self.bench.clock.now().seconds();
                let claims = json!({"iss": client, "sub": client, "aud": audience, "jti": jti, "iat": now, "exp": now + 60});
                let text = [json!({"alg": algorithm}), claims].map(|part| base64url(part.to_string().as_bytes())).join(".");
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "client_credentials").append_pair("scope", "items.read");
                form.append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
                form.append_pair("client_assertion", &format!("{text}.{}", sign(&text)));
                let got = self.bench.call("POST", "/token", FORM, &form.finish()).await;
                all.push(format!("{what}: {}", said(&got)));
            }
            self.see(row, all.join("; "));
        }
    }

    async fn device_start(&self, challenge: Option<&str>) -> Got {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", CLIENT_ID).append_pair("client_secret", CLIENT_SECRET).append_pair("scope", "items.read");
        if let Some(challenge) = challenge {
            form.append_pair("code_challenge", challenge).append_pair("code_challenge_method", "S256");
        }
        self.bench.call("POST", "/device", FORM, &form.finish()).await
    }

    /// A poll that comes in time.
    async fn device_poll(&self, code: &str, verifier: &str) -> Got {
        self.bench.clock.advance_millis(20_000);
        self.device_poll_at_once(code, verifier).await
    }

    async fn device_poll_at_once(&self, code: &str, verifier: &str) -> Got {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        self.bench.token(&[("grant_type", grant), ("device_code", code), ("code_verifier", verifier)]).await
    }

    fn decide_device(&self, started: &Got, decision: &str) {
        let order = json!({"do": "decide_device", "user_code": started.text("user_code"), "decision": decision});
        self.bench.control.apply_json(order).unwrap();
    }

    async fn devices(&mut self) {
        let without = self.device_start(None).await;
        self.see("device: start without PKCE", said(&without));
        let v = verifier();
        let challenge = ids::fingerprint(&v);
        let started = self.device_start(Some(&challenge)).await;
        if started.status != 200 {
            self.see("device: start", said(&started));
            return;
        }
        let body = started.json();
        let dashed = started.text("user_code").split_once('-').is_some_and(|(a, b)| a.len() == 4 && b.len() == 4);
        let form = if dashed { "AAAA-AAAA" } else { "8 letters and digits" };
        // A number in JSON, and one that is whole.
        let interval = body["interval"].as_f64().map_or("None".to_owned(), |interval| interval.to_string());
        let told = format!("{}; interval {interval} expires_in {}; user code {form}", keys(&body), body["expires_in"]);
        self.see("device: start", told);
        let complete = if body["verification_uri_complete"].is_string() { "yes" } else { "no" };
        self.see("device: verification_uri_complete", complete);
        let code = started.text("device_code");
        let first = self.device_poll(&code, &v).await;
        let again = self.device_poll_at_once(&code, &v).await;
        self.see("device: poll; at once again", format!("{}; {}", said(&first), said(&again)));
        self.decide_device(&started, "allow");
        let got = self.device_poll(&code, &v).await;
        let with = if got.json()["refresh_token"].is_string() { " with refresh token" } else { "" };
        self.see("device: token", format!("{}{with}", said(&got)));
        let after = self.device_poll(&code, &v).await;
        self.see("device: poll after use", said(&after));
        let junk = self.device_poll("junk", &v).await;
        self.see("device: junk code", said(&junk));
        let started = self.device_start(Some(&challenge)).await;
        self.decide_device(&started, "deny");
        let denied = self.device_poll(&started.text("device_code"), &v).await;
        self.see("device: user denies", said(&denied));
    }

    async fn people_and_clients(&mut self) {
        if self.bench.control.shared.state().ways.offline_access {
            let browser = self.browser();
            let body = self.link_in(&browser, "items.read offline_access").await.answer.json();
            let all = format!("{}, {}", body["refresh_expires_in"], body["scope"].as_str().unwrap());
            self.see("offline_access: refresh_expires_in, scope", all);
            let browser = self.browser();
            let link = self.link_in(&browser, "items.read offline_access").await;
            let rotated = self.bench.refresh(&link.refresh).await.text("refresh_token") != link.refresh;
            let all = format!("{}; {}", if rotated { "rotated" } else { "kept" }, self.refresh(&link).await);
            self.see("offline_access: refresh, then its token again", all);
        }
        let set = |control: &SandboxControl, ways: Value| control.apply_json(json!({"do": "set", "ways": ways})).unwrap();
        let control = self.bench.control.clone();
        let link = self.link().await;
        control.apply(Control::Withdraw { user: "ada".to_owned(), client_id: Some(CLIENT_ID.to_owned()) }).unwrap();
        let after = format!("{}, {}", self.access(&link).await, self.refresh(&link).await);
        self.see("consent withdrawn: access, refresh", after);

        let link = self.link().await;
        control.apply(Control::Withdraw { user: "ada".to_owned(), client_id: None }).unwrap();
        let after = format!("{}, {}", self.access(&link).await, self.refresh(&link).await);
        self.see("sessions ended: access, refresh", after);

        let link = self.link().await;
        set(&control, json!({"disabled_users": ["ada"]}));
        let refused = self.bench.refresh(&link.refresh).await;
        let before = format!("{}, {}", self.access(&link).await, said(&refused));
        self.see("user disabled, described as", refused.text("error_description"));
        set(&control, json!({"disabled_users": []}));
        let all = format!("{before}; {}", self.refresh(&link).await);
        self.see("user disabled: access, refresh; enabled again", all);

        let link = self.link().await;
        set(&control, json!({"disabled_clients": [CLIENT_ID]}));
        let refused = self.bench.refresh(&link.refresh).await;
        let before = said(&refused);
        self.see("client disabled, described as", described(&refused));
        set(&control, json!({"disabled_clients": []}));
        let all = format!("{before}; {}", self.refresh(&link).await);
        self.see("client disabled: refresh; enabled again", all);

        let link = self.link().await;
        let secret = |secret: &str| json!({"do": "register_client", "client_id": CLIENT_ID, "client_secret": secret});
        control.apply_json(secret("another")).unwrap();
        let before = self.refresh(&link).await;
        control.apply_json(secret(CLIENT_SECRET)).unwrap();
        let all = format!("{before}; {}", self.refresh(&link).await);
        self.see("client secret changed: refresh; set back", all);

        control.apply_json(json!({"do": "register_client", "client_id": "public", "redirect_uris": [REDIRECT]})).unwrap();
        let v = verifier();
        let elsewhere = "http://127.0.0.1:4711/callback";
        let code = self.bench.code(&v, &[("client_id", "public"), ("redirect_uri", elsewhere), ("scope", "items.read")]).await;
        self.see("public client, any loopback port", came_back(&code).split(" (").next().unwrap());
        let form = [("client_id", "public"), ("client_secret", ""), ("redirect_uri", elsewhere), ("code_verifier", &v)];
        let got = self.exchange(code["code"].as_str().unwrap(), &form).await;
        let with = if got.json()["refresh_token"].is_string() { " with refresh token" } else { "" };
        self.see("public client", format!("{}{with}", said(&got)));

        control.change(|ways| ways.refresh_expires_in = None);
        let link = self.link().await;
        let life = link.answer.json()["expires_in"].as_i64().unwrap();
        self.bench.clock.advance_millis(life * 1000);
        let all = format!("{}, {}", self.access(&link).await, self.refresh(&link).await);
        self.see("after expires_in: access, refresh", all);
    }
}

#[tokio::test]
async fn every_server_answers_as_it_was_measured() {
    let table: Value = serde_json::from_str(include_str!("servers.json")).unwrap();
    let servers: Vec<ServerKind> = serde_json::from_value(table["servers"].clone()).unwrap();
    assert_eq!(servers, ServerKind::ALL);
    let rows = table["rows"].as_object().unwrap();
    let mut wrong = Vec::new();
    for (column, server) in servers.into_iter().enumerate() {
        let mut subject = Subject::new(server).await;
        subject.codes().await;
        subject.authorize().await;
        subject.refreshes().await;
        subject.revocations().await;
        subject.siblings().await;
        subject.assertions().await;
        subject.devices().await;
        subject.people_and_clients().await;
        for (row, cells) in rows {
            assert_eq!(cells.as_array().unwrap().len(), ServerKind::ALL.len(), "{row}");
            let Some(measured) = cells[column].as_str() else { continue };
            match subject.seen.get(row.as_str()) {
                Some(seen) if seen == measured => {}
                seen => wrong.push(format!("{server}, {row}: measured {measured:?}, here {seen:?}")),
            }
        }
        let unknown: Vec<_> = subject.seen.keys().filter(|row| !rows.contains_key(**row)).collect();
        assert!(unknown.is_empty(), "the table has no rows {unknown:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_ways_of_a_server_keep_who_consents_and_are_refused_where_they_make_no_sense() {
    let bench = Bench::new().await;
    bench.control.change(|ways| ways.expires_in = 7);
    bench.control.behave_as(ServerKind::Gitea);
    let ways = bench.call("GET", "/stats", "", "").await.json()["ways"].clone();
    assert_eq!((&ways["auto_consent"], &ways["expires_in"], &ways["revocation"]), (&json!("ada"), &json!(3600), &json!(false)));
    let metadata = bench.call("GET", "/.well-known/openid-configuration", "", "").await.json();
    assert_eq!(metadata.get("revocation_endpoint"), None);
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], false);
    for order in [
        json!({"do": "behave_as", "server": "another"}),
        json!({"do": "set", "ways": {"code_length": 15}}),
        json!({"do": "set", "ways": {"access_token_length": 100_001}}),
        json!({"do": "set", "ways": {"refusals": {"flying": {}}}}),
        json!({"do": "set", "ways": {"refusals": {"denied": {"text": "no"}}}}),
        json!({"do": "set", "ways": {"refusals": {"used_code": {"status": 99}}}}),
    ] {
        assert_eq!(bench.order(order.clone()).await.status, 400, "{order}");
    }
    // The whole form of ways can be handed back.
    assert_eq!(bench.order(json!({"do": "set", "ways": ways})).await.status, 200);
}
