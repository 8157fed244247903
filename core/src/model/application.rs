use std::collections::BTreeMap;

use super::{Connection, model, words};

words! {
    /// A way to authorise, by what it asks of the user.
    pub enum AuthType {
        /// The user consents at the provider's page: OAuth 2.0 with a code or on a device, OAuth 1.0a.
        Oauth2 = "oauth2",
        /// Nothing opens: the user enters values, e.g. API keys, account ids, passwords, a service account's key; or nothing
        /// at all, where the organisation's own client is enough.
        Keybased = "keybased",
    }
    /// How a way to authorise leads to a credential. What it asks of a user is the auth type's matter: see [`AuthType`].
    pub enum GrantKind {
        /// The user consents at a page and comes back with a code (RFC 6749 section 4.1).
        AuthorizationCode = "authorization_code",
        /// The user enters a code at a page, on any device (RFC 8628).
        DeviceCode = "device_code",
        /// The user consents at a page of OAuth 1.0a (RFC 5849).
        Oauth1 = "oauth1",
        /// The entered values are sent as they are, or sign each request.
        Keys = "keys",
        /// A client's own credentials become a token (RFC 6749 section 4.4).
        ClientCredentials = "client_credentials",
        /// A JWT that the entered key signs becomes a token (RFC 7523 section 2.1).
        JwtBearer = "jwt_bearer",
        /// A login with the entered values becomes a token.
        Login = "login",
    }
    /// How an application stands for one linked account.
    pub enum AppStatus {
        /// No connection.
        NotConnected = "not_connected",
        /// The default connection works.
        Connected = "connected",
        /// The default connection must be authorised again.
        ReauthRequired = "reauth_required",
    }
}

model! {
    /// A third-party product, described for one linked account.
    pub struct Application {
        /// The stable name, e.g. `slack`.
        pub slug: String,
        /// The name for people.
        pub name: String,
        /// One sentence about it.
        pub description: String,
        /// Sorting words, e.g. `communication`.
        pub categories: Vec<String>,
        /// The ways to authorise that the project offers, the default one first.
        pub auth_types: Vec<AuthType>,
        /// How each way leads to a credential, the default one first.
        pub grants: BTreeMap<AuthType, Vec<GrantKind>>,
        /// What the user must enter, per auth type; empty lists where nothing is needed.
        pub inputs: BTreeMap<AuthType, Vec<InputField>>,
        /// How it looks.
        pub brand: Brand,
        /// How it stands for the linked account.
        pub status: AppStatus,
        /// The linked account's connections, the default one first.
        pub connections: Vec<Connection>,
        /// Help for the connect form.
        pub help: Option<String>,
    }

    /// One value that the user enters to connect.
    pub struct InputField {
        /// The key in `connect(app, inputs)`.
        pub name: String,
        /// The label for people.
        pub label: String,
        /// `text`, `password`, `number`, `boolean`, `select` or `textarea`.
        #[serde(rename = "type", default = "text")]
        #[schemars(extend("enum" = ["text", "password", "number", "boolean", "select", "textarea"]))]
        pub input_type: String,
        /// Whether it must be given; default true.
        #[serde(default = "yes")]
        pub required: bool,
        /// Whether it is a secret: stored sealed, never shown again.
        #[serde(default)]
        pub secret: bool,
        /// Whether forms leave it out; the host passes it, or the default counts.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub hidden: bool,
        /// An example of a right value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub placeholder: Option<String>,
        /// Where to find the value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub help_text: Option<String>,
        /// An anchored regular pattern of the manifest language: see `manifest::pattern`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub pattern: Option<String>,
        /// Fixed text shown before the input.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub prefix: Option<String>,
        /// Fixed text shown after the input, e.g. `.zendesk.com`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub suffix: Option<String>,
        /// The value when none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub default: Option<String>,
        /// The choices of a `select`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub options: Vec<InputOption>,
    }

    /// One choice.
    pub struct InputOption {
        /// What people see.
        pub name: String,
        /// What is sent.
        pub value: String,
    }

    /// How an application looks.
    #[derive(Default)]
    pub struct Brand {
        /// The icon: an https URL or a `data:` URI. Absent where the licence forbids shipping one; the project supplies it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub icon: Option<String>,
        /// The brand colour, `#rrggbb`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub color: Option<String>,
        /// The connect button.
        #[serde(default)]
        pub button: BrandButton,
    }

    /// A branded connect button.
    #[derive(Default)]
    pub struct BrandButton {
        /// At rest.
        #[serde(default)]
        pub normal: ButtonState,
        /// Under the pointer.
        #[serde(default)]
        pub hover: ButtonState,
        /// The provider's rules for such buttons.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub guidelines_url: Option<String>,
        /// Whether the provider mandates its own artwork, which the project must then supply as `image`.
        #[serde(default)]
        pub mandated: bool,
    }

    /// One state of the button: an image, or text and colours.
    #[derive(Default)]
    pub struct ButtonState {
        /// The provider's own artwork, an https URL or a `data:` URI.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub image: Option<String>,
        /// The text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub label: Option<String>,
        /// The background colour.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub background: Option<String>,
        /// The text colour.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub foreground: Option<String>,
        /// The border colour.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub border: Option<String>,
    }
}

fn text() -> String {
    "text".to_owned()
}

fn yes() -> bool {
    true
}
