//! The organisation's project: which applications it offers, with which client, fields and workflows. As a file
//! (`smalt.toml`) or as a value.

pub(crate) mod file;
mod lint;
pub(crate) mod secrets;
mod template;
pub mod urls;

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use file::{LoadedProject, ProjectSource};
pub use lint::{lint, lint_file, schema};
pub use template::template;

use crate::manifest::AppManifest;
use crate::model::{Brand, Environment, FieldOption, FieldType, InputField, Json, Label, Mapping};

/// Derives of every project type; an unknown key is a mistake that is named.
macro_rules! project {
    ($($item:item)*) => { $(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        $item
    )* };
}

// Below the macro, which it uses.
mod server;
pub use server::{AddressRange, RateSettings, ServerSettings};

project! {
    /// The whole project.
    pub struct Project {
        /// The project file's version: 1.
        pub version: u32,
        /// The organisation.
        #[serde(default)]
        pub org: Org,
        /// Session tokens.
        #[serde(default)]
        pub sessions: Sessions,
        /// The hosted page.
        #[serde(default)]
        pub portal: PortalSettings,
        /// Where requests may go.
        #[serde(default)]
        pub network: Network,
        /// How tokens are renewed before they end.
        #[serde(default)]
        pub refresh: RefreshSettings,
        /// The built-in sandbox applications.
        #[serde(default)]
        pub sandbox: SandboxSettings,
        /// Who runs workflows, where the program has no runner of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub workflow_runner: Option<WorkflowReceiver>,
        /// How much the HTTP API bears.
        #[serde(default)]
        pub server: ServerSettings,
        /// Folders with more manifests, relative to the project file; read again when they change.
        #[serde(default)]
        pub manifests: Vec<PathBuf>,
        /// The applications that are offered, by slug. An entry enables one, unless it says `enabled = false`.
        #[serde(default)]
        pub apps: BTreeMap<String, AppSettings>,
    }

    /// The organisation.
    #[serde(default)]
    pub struct Org {
        /// Its id; part of every row. Default `default`.
        pub id: String,
        /// Its name, for people.
        pub name: String,
        /// Where its backend is reached from outside; redirect URIs are built on it, never on a request's headers.
        pub public_url: Option<String>,
        /// Where users may be sent back to: exact origins, full URLs, and for native apps `com.example.app:/path` (a private-use scheme in
        /// reverse-DNS form) or `http://127.0.0.1/path`, whose port is free (RFC 8252 section 7).
        pub return_to: Vec<String>,
        /// Exact origins whose pages may call the HTTP API from a browser. Empty: any, without credentials of the browser.
        pub origins: Vec<String>,
        /// Redirect URIs, beside the project's own, that `start_connect` may be given.
        pub redirect_uris: Vec<String>,
    }

    /// Session tokens.
    #[serde(default)]
    pub struct Sessions {
        /// Seconds that a token lives. Default 86,400.
        pub lifetime: u64,
    }

    /// The hosted page, on which users connect and set applications.
    #[derive(Default)]
    #[serde(default)]
    pub struct PortalSettings {
        /// Exact origins whose pages may show it in a frame. Empty: none; it can be redirected to all the same.
        pub embed: Vec<String>,
    }

    /// Where requests may go.
    #[derive(Default)]
    #[serde(default)]
    pub struct Network {
        /// Hosts (`host` or `host:port`) that may be private, and be called over plain http, e.g. a provider on your own network.
        pub allow: Vec<String>,
    }

    /// A server of the organisation that runs its workflows, told by signed POSTs.
    pub struct WorkflowReceiver {
        /// Where it listens; https, or a host of `network.allow`.
        pub url: String,
        /// What the POSTs are signed with: `whsec_…`, or any text that both sides have.
        pub secret: SecretRef,
    }

    /// How tokens are renewed before they end, by engines that stay open.
    #[serde(default)]
    pub struct RefreshSettings {
        /// Whether they are; otherwise a token is renewed when somebody asks for it. Default true.
        pub ahead: bool,
        /// Seconds over which renewals are spread before they are due. Default 600.
        pub window: u64,
        /// Days after which a connection that nobody used is left alone, unless its grant would die of that. Default 30.
        pub unused: u64,
        /// Whether connections are renewed however long nobody used them. Default false.
        pub keep_unused: bool,
        /// Renewals per minute at one application, where its manifest states no limit; 0: none. All processes on the store share it. Default 1200.
        pub per_minute: u32,
        /// Calls for renewals ahead that one process has under way at one application. Default 8.
        pub at_once: usize,
        /// Hours before the end at which a token that cannot be renewed is announced as `connection.expiring`, but never in the first
        /// three quarters of its life. Default 72.
        pub notice: u64,
    }

    /// The built-in sandbox applications.
    #[derive(Default)]
    #[serde(default)]
    pub struct SandboxSettings {
        /// Whether they exist; never in the production environment.
        pub enabled: bool,
        /// The origin of a sandbox that runs already (`smalt sandbox`); otherwise one is started in this process when needed.
        pub url: Option<String>,
        /// The address to listen on. Default `127.0.0.1:0`.
        pub listen: Option<String>,
    }

    /// One application's settings.
    #[serde(default)]
    pub struct AppSettings {
        /// Whether it is offered. Default true.
        pub enabled: bool,
        /// The OAuth client, per environment.
        pub client: BTreeMap<Environment, Client>,
        /// Where the provider registers clients for those only who have a token of its own (RFC 7591 section 3): that one.
        pub registration_token: Option<SecretRef>,
        /// The scopes to ask for, beside the required ones; absent: the manifest's default.
        pub scopes: Option<Vec<String>>,
        /// Replaces the key-based input fields of the manifest.
        pub inputs: Option<Vec<InputField>>,
        /// Replaces the manifest's verify request by none.
        pub skip_verify: bool,
        /// Overrides of how it looks, e.g. artwork that may not be shipped; what it leaves out is as the manifest says.
        pub brand: Option<Brand>,
        /// The application's own settings.
        pub fields: Vec<FieldDef>,
        /// The workflows that are offered.
        pub workflows: Vec<WorkflowDef>,
        /// Values for placeholders of the manifest that are the same for everyone.
        pub variables: BTreeMap<String, String>,
    }

    /// An OAuth client that the organisation registered.
    pub struct Client {
        /// The client's id.
        pub id: String,
        /// The client's secret; absent for a public client.
        #[serde(default)]
        pub secret: Option<SecretRef>,
        /// Its certificate in PEM form, by which it proves itself (RFC 8705), with those that vouch for it; it may hold the key too.
        #[serde(default)]
        pub certificate: Option<SecretRef>,
        /// The private key of the certificate, in PEM form.
        #[serde(default)]
        pub certificate_key: Option<SecretRef>,
        /// The redirect URI registered for it; default the project's own.
        #[serde(default)]
        pub redirect_uri: Option<String>,
    }

    /// Where a secret is read from; it never stands in the project file.
    #[serde(rename_all = "snake_case")]
    pub enum SecretRef {
        /// An environment variable.
        Env(String),
        /// A file, relative to the project file; one trailing line break is dropped.
        File(PathBuf),
    }

    /// One setting that the user of a linked account can make.
    #[serde(default)]
    pub struct FieldDef {
        /// Unique within the application's fields or the workflow.
        pub id: String,
        /// The label for people.
        pub name: String,
        /// What it holds. Default `text`.
        #[serde(rename = "type")]
        pub field_type: FieldType,
        /// Whether it should be set.
        pub required: bool,
        /// Whether user interfaces skip it.
        pub hidden: bool,
        /// Whether it holds several values.
        pub multiple: bool,
        /// Help for people.
        pub help: Option<String>,
        /// An example.
        pub placeholder: Option<String>,
        /// Used when no value is set.
        pub default: Option<Json>,
        /// Fixed choices.
        pub options: Vec<FieldOption>,
        /// The name that the connector's `options` is asked for.
        pub options_from: Option<String>,
        /// The id of the field whose value this one depends on.
        pub parent: Option<String>,
        /// The page that shows it.
        pub page: Option<String>,
        /// Fixed left-hand entries of a `map`.
        pub labels: Vec<Label>,
        /// The object whose labels the caller supplies.
        pub label_object: Option<String>,
        /// Both sides of a `map_v2`.
        pub mapping: Option<Mapping>,
        /// The rule columns, by left side; a left side that is not listed takes free text and the default operators.
        pub rules: Vec<RuleDef>,
    }

    /// The columns of a rule for one left side.
    pub struct RuleDef {
        /// The left side's value; absent: for every left side.
        #[serde(default)]
        pub lhs: Option<Json>,
        /// The operators; default `eq`, `neq`, `start_with`, `end_with`, `greater_or_equal`, `less_or_equal`.
        #[serde(default)]
        pub operators: Vec<FieldOption>,
        /// The right side's choices; absent: free text.
        #[serde(default)]
        pub rhs: Option<Vec<FieldOption>>,
    }

    /// One workflow that the organisation offers.
    #[serde(default)]
    pub struct WorkflowDef {
        /// The workflow's id.
        pub id: String,
        /// The name for people.
        pub name: String,
        /// What it does.
        pub description: String,
        /// Its icon.
        pub icon: Option<String>,
        /// The page that shows it.
        pub page: Option<String>,
        /// Unpublished ones are not offered. Default true.
        pub published: bool,
        /// Left out of configs.
        pub hidden: bool,
        /// On in a new config.
        pub enabled: bool,
        /// Its own fields.
        pub fields: Vec<FieldDef>,
    }
}

impl AppSettings {
    /// How the application looks: each thing as the project says, else as the manifest does. The provider's rules stay.
    pub(crate) fn brand_of(&self, manifest: &AppManifest) -> Brand {
        let mut brand = manifest.brand.clone();
        let Some(own) = &self.brand else { return brand };
        let take = |to: &mut Option<String>, from: &Option<String>| {
            if from.is_some() {
                to.clone_from(from);
            }
        };
        take(&mut brand.icon, &own.icon);
        take(&mut brand.color, &own.color);
        take(&mut brand.button.guidelines_url, &own.button.guidelines_url);
        brand.button.mandated |= own.button.mandated;
        for (to, from) in [(&mut brand.button.normal, &own.button.normal), (&mut brand.button.hover, &own.button.hover)] {
            take(&mut to.image, &from.image);
            take(&mut to.label, &from.label);
            take(&mut to.background, &from.background);
            take(&mut to.foreground, &from.foreground);
            take(&mut to.border, &from.border);
        }
        brand
    }
}

impl Client {
    /// The certificate with its key, read now.
    ///
    /// # Errors
    /// `secret_missing`, and `project_invalid` for what is no certificate or no key.
    pub(crate) fn identity(&self, base_dir: &std::path::Path) -> crate::Result<Option<crate::plugin::ClientIdentity>> {
        let Some(certificate) = &self.certificate else { return Ok(None) };
        let key = self.certificate_key.as_ref().map(|key| key.resolve(base_dir)).transpose()?;
        crate::plugin::ClientIdentity::from_pem(&certificate.resolve(base_dir)?, key.as_ref()).map(Some)
    }
}

impl Default for Project {
    fn default() -> Self {
        Self {
            version: 1,
            org: Org::default(),
            sessions: Sessions::default(),
            portal: PortalSettings::default(),
            network: Network::default(),
            refresh: RefreshSettings::default(),
            sandbox: SandboxSettings::default(),
            workflow_runner: None,
            server: ServerSettings::default(),
            manifests: Vec::new(),
            apps: BTreeMap::new(),
        }
    }
}

impl Default for Org {
    fn default() -> Self {
        Self {
            id: "default".to_owned(),
            name: String::new(),
            public_url: None,
            return_to: Vec::new(),
            origins: Vec::new(),
            redirect_uris: Vec::new(),
        }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self { lifetime: 24 * 60 * 60 }
    }
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self { ahead: true, window: 600, unused: 30, keep_unused: false, per_minute: 1200, at_once: 8, notice: 72 }
    }
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            client: BTreeMap::new(),
            registration_token: None,
            scopes: None,
            inputs: None,
            skip_verify: false,
            brand: None,
            fields: Vec::new(),
            workflows: Vec::new(),
            variables: BTreeMap::new(),
        }
    }
}

impl Default for FieldDef {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            field_type: FieldType::Text,
            required: false,
            hidden: false,
            multiple: false,
            help: None,
            placeholder: None,
            default: None,
            options: Vec::new(),
            options_from: None,
            parent: None,
            page: None,
            labels: Vec::new(),
            label_object: None,
            mapping: None,
            rules: Vec::new(),
        }
    }
}

impl Default for WorkflowDef {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            description: String::new(),
            icon: None,
            page: None,
            published: true,
            hidden: false,
            enabled: false,
            fields: Vec::new(),
        }
    }
}
