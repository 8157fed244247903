//! OAuth 1.0a with three legs (RFC 5849 section 2): temporary credentials, the user's consent, the token. It has no state of
//! its own, so ours goes with the callback URL; and the callback must name the flow's own temporary credentials.

use std::collections::BTreeMap;

use url::Url;

use super::{Inner, apps::App, connect::Beginning, exchange::Rejected, outbox::Asked, sealed, sealed::FlowSecrets};
use crate::{
    Secret,
    error::{Result, bail, err},
    http::protocol::{self, Callback, Oauth1Keys, RevokeOutcome, TokenFailure, TokenSet},
    manifest::{
        Oauth1, Oauth2, Revoke, TokenAnswer,
        template::{self, Values},
    },
    model::RevocationOutcome,
    plugin::HttpRequest,
    store::rows::FlowRow,
};

/// Where the token's secret stands among a connection's values.
pub(super) const TOKEN_SECRET: &str = "token_secret";

/// Takes what an OAuth 1.0a provider sends back for what one of OAuth 2.0 does: the verifier is the code, but only beside the
/// flow's own temporary credentials.
pub(super) fn adopt(callback: &mut Callback, temporary: Option<&Secret>) {
    let named = |callback: &Callback, name: &str| {
        callback.params.get(name).is_some_and(|token| temporary.is_some_and(|temporary| *temporary == Secret::new(token.as_str())))
    };
    let own = named(callback, "oauth_token");
    let verifier = callback.params.get("oauth_verifier").filter(|verifier| own && !verifier.is_empty());
    callback.code = verifier.map(|verifier| Secret::new(verifier.as_str()));
    if named(callback, "denied") || callback.params.get("oauth_problem").is_some_and(|problem| problem == "permission_denied") {
        callback.error = Some("access_denied".to_owned());
    }
    // What was a secret is none of the properties.
    callback.params.clear();
}

/// How the answers to both token requests are read: forms with `oauth_` names (RFC 5849 section 2.1).
fn rules(oauth: &Oauth1) -> Oauth2 {
    Oauth2 {
        answer: TokenAnswer {
            access_token: Some("/oauth_token".to_owned()),
            error: Some("/oauth_problem".to_owned()),
            ..TokenAnswer::default()
        },
        copy_from_token: oauth.copy_from_token.clone(),
        ..Oauth2::default()
    }
}

impl Inner {
    fn signing_keys(&self, app: &App, token: Option<Secret>, token_secret: Secret) -> Result<Oauth1Keys> {
        let client = self.client(app)?;
        Ok(Oauth1Keys { consumer_key: client.id, consumer_secret: client.secret.unwrap_or_default(), token, token_secret })
    }

    async fn ask_signed(
        &self,
        app: &App,
        oauth: &Oauth1,
        url: &str,
        inputs: &BTreeMap<String, Secret>,
        keys: &Oauth1Keys,
        more: &[(&str, &str)],
    ) -> Result<Result<TokenSet, TokenFailure>> {
        let values = app.values(Values::new().secrets(inputs));
        let mut request = HttpRequest::new("POST", template::url(url, &values)?);
        request.set_header("accept", "*/*")?;
        request.set_header("user-agent", protocol::USER_AGENT)?;
        request.timeout = self.timings.provider;
        let realm = oauth.realm.as_deref().map(|realm| template::text(realm, &values)).transpose()?;
        protocol::sign(&mut request, keys, oauth.signature, realm.as_deref(), more, self.now())?;
        let answer = self.transport.send(request).await?;
        Ok(protocol::parse_token_answer(&rules(oauth), &answer, self.now()))
    }

    /// Asks for temporary credentials, keeps them with the flow, and answers the page that the user is sent to.
    pub(super) async fn ask_temporary(&self, app: &App, oauth: &Oauth1, beginning: &mut Beginning) -> Result<String> {
        let mut back = Url::parse(&beginning.redirect_uri).map_err(|_| err!(RedirectNotAllowed, "the redirect URI is no URL"))?;
        back.query_pairs_mut().append_pair("state", &beginning.state);
        let keys = self.signing_keys(app, None, Secret::default())?;
        let inputs = beginning.secrets.inputs.clone();
        let asked = self.ask_signed(app, oauth, &oauth.request_token_url, &inputs, &keys, &[("oauth_callback", back.as_str())]).await?;
        let tokens = asked.map_err(|failure| match failure {
            TokenFailure::Passing { error } => error,
            TokenFailure::Final { provider_error }
            | TokenFailure::Suspended { provider_error }
            | TokenFailure::Client { provider_error }
            | TokenFailure::Refused { provider_error } => {
                err!(ClientRejected, "`{}` gave no temporary credentials: `{provider_error}`", app.slug())
                    .with("provider_error", provider_error)
            }
        })?;
        let Some(secret) = tokens.raw.text("/oauth_token_secret") else {
            bail!(MalformedAnswer, "the answer holds no `oauth_token_secret`")
        };
        let client = self.client(app)?;
        let values = app.values(Values::new().one("client_id", &client.id).secrets(&inputs));
        let mut page = template::url(&oauth.authorize_url, &values)?;
        for (name, text) in &oauth.authorize_params {
            page.query_pairs_mut().append_pair(name, &template::text(text, &values)?);
        }
        page.query_pairs_mut().append_pair("oauth_token", tokens.access_token.expose());
        beginning.secrets.temporary = Some(tokens.access_token.clone());
        beginning.secrets.temporary_secret = Some(secret.into());
        Ok(page.into())
    }

    /// Temporary credentials and verifier for the token; once.
    pub(super) async fn exchange_temporary(
        &self,
        app: &App,
        oauth: &Oauth1,
        row: &FlowRow,
        secrets: &FlowSecrets,
    ) -> Result<TokenSet, Rejected> {
        let verifier = secrets.code.as_ref().ok_or_else(|| err!(Internal, "a flow without a verifier was redeemed"))?;
        let keys = self.signing_keys(app, secrets.temporary.clone(), secrets.temporary_secret.clone().unwrap_or_default())?;
        self.hold_revocations(&row.account_id, &row.application).await?;
        crate::failpoint::failpoint!("exchange-before-send");
        let more = [("oauth_verifier", verifier.expose())];
        let asked = self.ask_signed(app, oauth, &oauth.access_token_url, &secrets.inputs, &keys, &more).await?;
        crate::failpoint::failpoint!("exchange-after-send");
        let mut tokens = asked.map_err(|failure| match failure {
            TokenFailure::Passing { error } => error,
            TokenFailure::Final { provider_error }
            | TokenFailure::Suspended { provider_error }
            | TokenFailure::Client { provider_error }
            | TokenFailure::Refused { provider_error } => {
                err!(ExchangeFailed, "`{}` refused the verifier with `{provider_error}`", app.slug()).with("provider_error", provider_error)
            }
        })?;
        if tokens.raw.text("/oauth_token_secret").is_none() {
            return Err(err!(MalformedAnswer, "the answer holds no `oauth_token_secret`").into());
        }
        tokens.token_type = "OAuth".to_owned();
        Ok(tokens)
    }

    /// Ends a token with a request that it signs itself.
    pub(super) async fn send_signed_revocation(&self, app: &App, oauth: &Oauth1, grant: &sealed::Grant) -> Result<Asked> {
        let (Some(revoke), Some(token)) = (&oauth.revoke, &grant.access_token) else {
            return Ok(Asked::Ended(RevocationOutcome::Unsupported));
        };
        let secret = grant.values.get(TOKEN_SECRET).cloned().unwrap_or_default();
        let keys = self.signing_keys(app, Some(token.clone()), secret)?;
        let values = app.values(Values::new().one("token", token.expose()).secrets(&grant.values));
        let mut request = HttpRequest::new(revoke.method.as_deref().unwrap_or("POST"), template::url(&revoke.url, &values)?);
        request.set_header("accept", "application/json")?;
        request.set_header("user-agent", protocol::USER_AGENT)?;
        request.timeout = self.timings.provider;
        let realm = oauth.realm.as_deref().map(|realm| template::text(realm, &values)).transpose()?;
        protocol::sign(&mut request, &keys, oauth.signature, realm.as_deref(), &[], self.now())?;
        let answer = self.transport.send(request).await?;
        // A token that signs no more is dead.
        let mut gone_statuses = revoke.gone_statuses.clone();
        gone_statuses.push(401);
        let known = Oauth2 { revoke: Some(Revoke { gone_statuses, ..Revoke::default() }), ..rules(oauth) };
        Ok(match protocol::parse_revoke_answer(&known, &answer) {
            RevokeOutcome::Done => Asked::Ended(RevocationOutcome::Revoked),
            RevokeOutcome::Later { retry_after } => Asked::Later(retry_after),
            RevokeOutcome::Refused => Asked::Ended(RevocationOutcome::Failed),
        })
    }
}
