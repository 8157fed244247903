//! The ways beside the authorization code: entered values and their tokens, the device flow, OAuth 1.0a.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::json;
use smalt::{Secret, backend::StartConnect, model, model::FlowStatus};
use url::Url;

use crate::{
    form::{Answer, At, Device, Exchange, Keybased, Oauth1, Oauth2, Poll, Refusal},
    play::{REDIRECT, Stage, code_of, renewed, said, stands},
    provider::{pairs, same},
};

/// The same request with another answer.
fn instead(exchange: &Exchange, refusal: &Refusal) -> Result<Exchange, String> {
    let answer = refusal.answer.clone().ok_or("it has no answer")?;
    Ok(Exchange { request: exchange.request.clone(), answer })
}

/// The token request once more: as the first, with the token that comes of it.
fn again(token: &Exchange) -> Exchange {
    let next = |text: &str| text.replace("access-1", "access-2");
    let answer = Answer {
        json: token.answer.json.as_ref().map(|json| next(&json.to_string()).parse().unwrap()),
        text: token.answer.text.as_deref().map(next),
        ..token.answer.clone()
    };
    Exchange { request: token.request.clone(), answer }
}

impl Stage {
    async fn connect_keys(&self, way: &Keybased) -> smalt::Result<model::Connection> {
        let value = |value: &String| match value.strip_prefix('@') {
            Some(file) => {
                std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/keys").join(file)).unwrap()
            }
            None => value.clone(),
        };
        let inputs = way.inputs.iter().map(|(name, text)| (name.clone(), Secret::new(value(text)))).collect();
        self.account.connect(self.slug.as_str()).auth_type(model::AuthType::Keybased).inputs(inputs).await
    }

    async fn connected_keys(&self, way: &Keybased) -> Result<(), String> {
        self.provider.expect(way.token.iter().chain(&way.verify).cloned());
        let answer = self.connect_keys(way).await;
        let connection = self.reached("connect with keys", answer)?;
        stands(&way.connection, &connection)
    }

    /// To the end of the token, where it has one that is known.
    fn outlive(&self, way: &Keybased) -> Result<(), String> {
        let seconds = way.connection.expires_in.ok_or("the token has no end that is known")?;
        self.clock.advance_millis(seconds * 1000);
        Ok(())
    }

    pub(crate) async fn keybased(self, way: &Keybased) -> Result<(), String> {
        self.connected_keys(way).await?;
        self.call(&way.call, 1, 1).await?;
        let mut access = 1;
        if let Some(token) = &way.token {
            self.outlive(way)?;
            self.provider.expect([again(token)]);
            self.reached("a new token", self.account.credential(self.slug.as_str()).await)?;
            self.call(&way.call, 2, 1).await?;
            access = 2;
        }
        self.provider.expect(way.disconnect.iter().map(|exchange| renewed(exchange, access, 1)));
        let outcome = self.disconnect().await?;
        self.provider.satisfied("disconnect")?;
        same("the receipt", &way.revocation, &outcome)?;
        self.end().await;
        Ok(())
    }

    pub(crate) async fn refused_keys(self, way: &Keybased, refusal: &Refusal) -> Result<(), String> {
        let token = || way.token.as_ref().ok_or("there is no request for a token");
        let code = match refusal.at {
            At::Verify => {
                let verify = way.verify.as_ref().ok_or("there is no verify request")?;
                // Where the good keys would be tried elsewhere, only a refusal leads there.
                let next = way.alternatives.iter().filter(|_| refusal.code == "credentials_rejected").cloned();
                self.provider.expect(way.token.iter().cloned().chain([instead(verify, refusal)?]).chain(next));
                let code = code_of(self.connect_keys(way).await)?;
                self.provider.satisfied("refusal")?;
                // A token that was issued is ended in the background.
                self.end().await;
                return same("the code", &refusal.code, &code);
            }
            At::Token => {
                self.provider.expect([instead(token()?, refusal)?]);
                code_of(self.connect_keys(way).await)?
            }
            At::Renewal => {
                self.connected_keys(way).await?;
                self.outlive(way)?;
                self.provider.expect([instead(token()?, refusal)?]);
                code_of(self.account.credential(self.slug.as_str()).await)?
            }
            At::Revoke => {
                self.connected_keys(way).await?;
                let first = way.disconnect.first().ok_or("nothing is sent at disconnect")?;
                self.provider.expect([instead(first, refusal)?]);
                self.disconnect().await?
            }
            _ => return Err("that belongs to another way".to_owned()),
        };
        self.provider.satisfied("refusal")?;
        same("the code", &refusal.code, &code)?;
        self.end().await;
        Ok(())
    }

    async fn start_device(&self, way: &Oauth2, device: &Device) -> Result<String, String> {
        let options = StartConnect { inputs: way.inputs.clone(), scopes: way.scopes.clone(), device: true, ..StartConnect::default() };
        self.provider.expect([device.start.clone()]);
        let started = self.reached("start", self.account.start_connect(self.slug.as_str(), options).await)?;
        let shown = started.device.ok_or("nothing is shown")?;
        let prompt = json!({
            "user_code": shown.user_code, "verification_uri": shown.verification_uri,
            "verification_uri_complete": shown.verification_uri_complete, "interval": shown.interval,
        });
        if prompt != device.prompt {
            return Err(format!("the prompt should be {}, not {prompt}", device.prompt));
        }
        Ok(started.flow_id)
    }

    /// Lets time pass until the flow has ended.
    async fn ended(&self, flow: &str) -> Result<model::ConnectFlow, String> {
        for _ in 0..200 {
            self.provider.trouble()?;
            self.clock.advance_millis(6_000);
            let flow = said(self.account.flow(flow).wait(Some(Duration::from_millis(50))).await)?;
            if flow.status.is_final() {
                return Ok(flow);
            }
        }
        Err("the flow never ended".to_owned())
    }

    pub(crate) async fn device(self, way: &Oauth2, device: &Device) -> Result<(), String> {
        let flow = self.start_device(way, device).await?;
        self.provider.expect([device.pending.clone(), device.exchange.clone()].into_iter().chain(way.after.clone()));
        let ended = self.ended(&flow).await?;
        self.provider.satisfied("the polls")?;
        same("the flow", FlowStatus::Connected.as_str(), ended.status.as_str())?;
        let connection = said(self.account.connection(ended.connection_id.unwrap_or_default()).await)?;
        stands(&way.connection, &connection)?;
        self.call(&way.call, 1, 1).await?;
        self.end().await;
        Ok(())
    }

    pub(crate) async fn refused_device(self, way: &Oauth2, device: &Device, poll: &Poll) -> Result<(), String> {
        let flow = self.start_device(way, device).await?;
        self.provider.expect([Exchange { request: device.exchange.request.clone(), answer: poll.answer.clone() }]);
        let ended = self.ended(&flow).await?;
        self.provider.satisfied("the poll")?;
        same("the code", &poll.code, ended.error.as_ref().map_or("", |error| error.code.as_str()))?;
        self.end().await;
        Ok(())
    }

    async fn consent(&self, way: &Oauth1, params: &BTreeMap<String, String>) -> Result<smalt::Result<model::Connection>, String> {
        let options = StartConnect { inputs: way.inputs.clone(), ..StartConnect::default() };
        let started = match self.account.start_connect(self.slug.as_str(), options).await {
            Ok(started) => started,
            Err(error) => return Ok(Err(error)),
        };
        let page: Url = started.authorize_url.parse().map_err(|_| "the authorize URL is none".to_owned())?;
        let mut plain = page.clone();
        plain.set_query(None);
        same("the authorize URL", &way.authorize.url, plain.as_str())?;
        pairs("the authorize URL", &way.authorize.params, page.query_pairs())?;
        let back = self.provider.called_back().ok_or("no callback URL was sent")?;
        let mut callback: Url = back.parse().map_err(|_| "the callback URL is none".to_owned())?;
        if !callback.as_str().starts_with(REDIRECT) {
            return Err(format!("the callback URL is {callback}"));
        }
        callback.query_pairs_mut().extend_pairs(params);
        Ok(self.account.finish_connect(callback, Secret::new(started.cookie.value.expose())).await)
    }

    async fn consented(&self, way: &Oauth1) -> Result<(), String> {
        self.provider.expect([way.temporary.clone(), way.exchange.clone()].into_iter().chain(way.after.clone()));
        let answer = self.consent(way, &way.callback).await?;
        let connection = self.reached("connect", answer)?;
        stands(&way.connection, &connection)
    }

    pub(crate) async fn oauth1(self, way: &Oauth1) -> Result<(), String> {
        self.consented(way).await?;
        self.call(&way.call, 1, 1).await?;
        self.provider.expect(way.disconnect.clone());
        let outcome = self.disconnect().await?;
        self.provider.satisfied("disconnect")?;
        same("the receipt", &way.revocation, &outcome)?;
        self.end().await;
        Ok(())
    }

    pub(crate) async fn refused_oauth1(self, way: &Oauth1, refusal: &Refusal) -> Result<(), String> {
        let code = match refusal.at {
            At::Temporary => {
                self.provider.expect([instead(&way.temporary, refusal)?]);
                code_of(self.consent(way, &way.callback).await?)?
            }
            At::Callback => {
                self.provider.expect([way.temporary.clone()]);
                code_of(self.consent(way, refusal.params.as_ref().ok_or("it has no parameters")?).await?)?
            }
            At::Exchange => {
                self.provider.expect([way.temporary.clone(), instead(&way.exchange, refusal)?]);
                code_of(self.consent(way, &way.callback).await?)?
            }
            At::Revoke => {
                self.consented(way).await?;
                let first = way.disconnect.first().ok_or("nothing is sent at disconnect")?;
                self.provider.expect([instead(first, refusal)?]);
                self.disconnect().await?
            }
            _ => return Err("that belongs to another way".to_owned()),
        };
        self.provider.satisfied("refusal")?;
        same("the code", &refusal.code, &code)?;
        self.end().await;
        Ok(())
    }
}
