//! Handles on servers, and what opening them has in common with an engine's.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use smalt::{
    Code, Error, Result, Secret, Session, Smalt,
    plugin::{Fault, PresentRequest, Presenter},
    present::{PrintUrl, SystemBrowser},
    remote::Retries,
};

use crate::{
    Engine,
    host::{HostPresenter, HostTokens},
};

/// What a handle on a server is made with: values only. What is left out keeps its default.
#[derive(Clone, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteOptions {
    /// The server's address; it may end in a path.
    pub url: String,
    /// The organisation's API key, which also says which environment is meant. Absent: the variable `SMALT_API_KEY`.
    pub api_key: Option<Secret>,
    /// Seconds that a call may take in all, tries and waits included. Default 60.
    pub timeout: Option<f64>,
    /// Seconds that one try may take. Default 30.
    pub attempt_timeout: Option<f64>,
    /// Seconds to connect, within a try's. Default 5.
    pub connect_timeout: Option<f64>,
    /// How often a call is sent again, for each sort of trouble; 0: never. Default 2.
    pub retries: Option<u32>,
    /// The largest answer, in bytes. Default 16 MiB.
    pub max_answer: Option<u64>,
    /// Allows plain http to an address that is not this machine.
    pub plain_http: bool,
    /// A certificate authority to trust beside the platform's: PEM.
    pub certificate_authority: Option<String>,
    /// Whether the proxies of the environment (`HTTPS_PROXY`, `NO_PROXY`, …) are used. Default true.
    pub proxy: Option<bool>,
    /// Opens authorize pages, where no presenter of the host does.
    pub presenter: Option<PresenterOption>,
    /// Who asks, for the server's audit.
    pub actor: Option<String>,
}

/// What a session at a server is made with: values only. What is left out keeps its default.
#[derive(Clone, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionOptions {
    /// The server's address; it may end in a path.
    pub url: String,
    /// The session's token, where no provider of the host gives tokens.
    pub token: Option<Secret>,
    /// Seconds that a call may take in all, tries and waits included. Default 60.
    pub timeout: Option<f64>,
    /// Seconds that one try may take. Default 30.
    pub attempt_timeout: Option<f64>,
    /// Seconds to connect, within a try's. Default 5.
    pub connect_timeout: Option<f64>,
    /// How often a call is sent again, for each sort of trouble; 0: never. Default 2.
    pub retries: Option<u32>,
    /// The largest answer, in bytes. Default 16 MiB.
    pub max_answer: Option<u64>,
    /// Allows plain http to an address that is not this machine.
    pub plain_http: bool,
    /// A certificate authority to trust beside the platform's: PEM.
    pub certificate_authority: Option<String>,
    /// Whether the proxies of the environment (`HTTPS_PROXY`, `NO_PROXY`, …) are used. Default true.
    pub proxy: Option<bool>,
    /// Opens authorize pages, where no presenter of the host does.
    pub presenter: Option<PresenterOption>,
}

/// The presenters that are in the box.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenterOption {
    /// The system's browser.
    Browser,
    /// The URL on standard error.
    Print,
    /// Consents at the sandbox as this user: `ada`, `grace` or `linus`.
    Consents(String),
    /// Denies at the sandbox as this user.
    Denies(String),
}

pub(crate) fn seconds(name: &str, time: f64) -> Result<Duration> {
    let read = Duration::try_from_secs_f64(time);
    read.map_err(|_| Error::new(Code::InvalidRequest, format!("`{name}` takes a number of seconds")))
}

/// What builders of core take alike, though they are of different types.
macro_rules! settings {
    ($builder:ident, $options:ident) => {
        if let Some(time) = $options.timeout {
            $builder = $builder.timeout(seconds("timeout", time)?);
        }
        if let Some(time) = $options.attempt_timeout {
            $builder = $builder.attempt_timeout(seconds("attempt_timeout", time)?);
        }
        if let Some(time) = $options.connect_timeout {
            $builder = $builder.connect_timeout(seconds("connect_timeout", time)?);
        }
        if let Some(times) = $options.retries {
            $builder = $builder.retries(Retries { connect: times, read: times, status: times, ..Retries::default() });
        }
        if let Some(most) = $options.max_answer {
            $builder = $builder.max_answer(usize::try_from(most).unwrap_or(usize::MAX));
        }
        if $options.plain_http {
            $builder = $builder.plain_http();
        }
        if let Some(pem) = $options.certificate_authority {
            $builder = $builder.certificate_authority(pem);
        }
        if $options.proxy == Some(false) {
            $builder = $builder.no_proxy();
        }
    };
}

/// The presenter that was chosen, whichever sort it is.
pub(crate) struct Chosen(Arc<dyn Presenter>);

#[async_trait]
impl Presenter for Chosen {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn present(&self, request: PresentRequest) -> Result<Option<String>, Fault> {
        self.0.present(request).await
    }

    fn redirect_uri(&self) -> Option<String> {
        self.0.redirect_uri()
    }
}

/// The host's own comes before one that is in the box.
pub(crate) fn chosen(own: Option<HostPresenter>, option: Option<PresenterOption>) -> Result<Option<Chosen>> {
    if let Some(own) = own {
        return Ok(Some(Chosen(Arc::new(own))));
    }
    let presenter: Arc<dyn Presenter> = match option {
        None => return Ok(None),
        Some(PresenterOption::Browser) => Arc::new(SystemBrowser),
        Some(PresenterOption::Print) => Arc::new(PrintUrl::to_stderr()),
        #[cfg(feature = "embedded")]
        Some(PresenterOption::Consents(user)) => Arc::new(smalt::present::ScriptedConsent::allow(&user)),
        #[cfg(feature = "embedded")]
        Some(PresenterOption::Denies(user)) => Arc::new(smalt::present::ScriptedConsent::deny(&user)),
        #[cfg(not(feature = "embedded"))]
        Some(PresenterOption::Consents(_) | PresenterOption::Denies(_)) => {
            return Err(Error::new(Code::Unsupported, "there is no sandbox in this build"));
        }
    };
    Ok(Some(Chosen(presenter)))
}

impl Engine {
    /// One linked account's authority at a server: its calls name `Caller::Session` with the answered token, which is empty where tokens
    /// come from the provider. No I/O: nobody is asked before the first call.
    ///
    /// # Errors
    /// As [`RemoteSession::open`](smalt::remote::RemoteSession::open); `invalid_request` for a time that is none.
    pub fn session(options: SessionOptions, tokens: Option<HostTokens>, presenter: Option<HostPresenter>) -> Result<(Self, Secret)> {
        let mut builder = Session::remote(options.url);
        builder = match (tokens, options.token) {
            (Some(own), _) => builder.provider(own),
            (None, Some(token)) => builder.token(token),
            (None, None) => builder,
        };
        settings!(builder, options);
        if let Some(presenter) = chosen(presenter, options.presenter)? {
            builder = builder.presenter(presenter);
        }
        let session = builder.open()?;
        Ok((Engine::over(session.handle()), session.token().clone()))
    }

    /// A handle on a server. No I/O: whether it is there shows at the first call.
    ///
    /// # Errors
    /// As [`RemoteSmalt::open`](smalt::remote::RemoteSmalt::open); `invalid_request` for a time that is none.
    pub fn remote(options: RemoteOptions, presenter: Option<HostPresenter>) -> Result<Self> {
        let mut builder = Smalt::remote(options.url);
        if let Some(key) = options.api_key {
            builder = builder.api_key(key);
        }
        settings!(builder, options);
        if let Some(presenter) = chosen(presenter, options.presenter)? {
            builder = builder.presenter(presenter);
        }
        let smalt = builder.open()?;
        Ok(Engine::over(match options.actor {
            Some(actor) => smalt.acting_as(&actor),
            None => smalt,
        }))
    }
}
