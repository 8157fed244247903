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
        let after = format!("{}, {}", self.access(&link).await, self.refresh(&link).await);
        self.see("code again: access, refresh", after);

        let code = self.code(&v).await;
        let wrong = self.bench.redeem(&code, &verifier()).await;
        self.see("wrong verifier", said(&wrong));
        let right = self.bench.redeem(&code, &v).await;
        self.see("wrong verifier, then the right one", said(&right));
        for (row, with) in [
            ("no verifier", vec![]),
            ("wrong redirect_uri", vec![("code_verifier", v.as_str()), ("redirect_uri", "http://127.0.0.1:9/other")]),
            ("no redirect_uri", vec![("code_verifier", v.as_str()), ("redirect_uri", "")]),
        ] {
            let code = self.code(&v).await;
            let got = self.exchange(&code, &with).await;
            self.see(row, said(&got));
        }
        let code = self.code(&v).await;
        let got = self.exchange(&code, &[("code_verifier", &v), ("client_secret", "wrong")]).await;
        self.see("wrong secret", format!("{}, {}", said(&got), challenge(&got)));
        let got = self.bench.redeem(&code, &v).await;
        self.see("wrong secret, then the right one", said(&got));
        let got = self.bench.redeem("junk", &v).await;
        self.see("unknown code", said(&got));
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
        let again = self.refresh(&link).await;
        self.see("refresh token again", again);
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

    async fn people_and_clients(&mut self) {
        if self.bench.control.shared.state().ways.offline_access {
            let browser = self.browser();
            let body = self.link_in(&browser, "items.read offline_access").await.answer.json();
            let all = format!("{}, {}", body["refresh_expires_in"], body["scope"].as_str().unwrap());
            self.see("offline_access: refresh_expires_in, scope", all);
        }
        let set = |control: &SandboxControl, ways: Value| control.apply_json(json!({"do": "set", "ways": ways})).unwrap();
        let control = self.bench.control.clone();
        let link = self.link().await;
        control.apply(Control::Withdraw { user: "ada".to_owned(), client_id: None }).unwrap();
        let after = format!("{}, {}", self.access(&link).await, self.refresh(&link).await);
        self.see("consent withdrawn: access, refresh", after);

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
        let before = self.refresh(&link).await;
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
