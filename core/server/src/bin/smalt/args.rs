//! What can be typed. Some of it is secret, so nothing here has a Debug form.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, builder::FalseyValueParser};
use smalt::{
    Secret,
    model::{AuthType, Environment, SiblingPolicy},
};

/// The table of exit codes; `docs/command.md` has the same.
pub const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  a check failed: `doctor`, `apps lint`, `apps test`; a `request` was answered with
       status 400 or more; a field that `config` should set does not exist
    2  wrong usage
    3  refused: an argument is wrong, the thing does not exist, or its state stands against it
    4  the user must act: connect, authorise again, or enter something else
    5  the application's server failed or was too slow
    6  settings: key, project file, manifest, client
    7  the store is busy or not available
    8  a plugin failed
    9  not supported here
   70  a fault in Smalt itself
  130  cancelled";

/// Lets the users of your product connect their applications to it.
#[derive(Parser)]
#[command(name = "smalt", version, after_help = EXIT_CODES, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// The store
    #[arg(long, global = true, env = "SMALT_DATA", default_value = "smalt.db", value_name = "FILE")]
    pub data: PathBuf,
    /// A server to work at in place of a store: `smalt serve`, or the hosted service; with SMALT_API_KEY
    #[arg(long, global = true, env = "SMALT_URL", value_name = "URL")]
    pub url: Option<String>,
    /// The project file [default: smalt.toml, if it is there]
    #[arg(long, global = true, env = "SMALT_PROJECT", value_name = "FILE")]
    pub project: Option<PathBuf>,
    /// `test` or `production`; they share nothing
    #[arg(long, global = true, env = "SMALT_ENVIRONMENT", default_value = "test", value_name = "NAME", value_parser = environment)]
    pub environment: Environment,
    /// The master key's file [default: SMALT_KEY, then SMALT_KEY_FILE, then smalt.key beside the project file]
    // Not clap's `env`: SMALT_KEY goes before SMALT_KEY_FILE, but not before this option.
    #[arg(long, global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Answers one JSON value on the standard output
    #[arg(long, global = true, env = "SMALT_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Writes smalt.toml, a master key and .gitignore lines into a folder; overwrites nothing
    Init(Init),
    /// Tells what is known about applications; needs neither store nor key
    #[command(subcommand)]
    Apps(Apps),
    /// Linked accounts: the customers of your product
    #[command(subcommand)]
    Account(Accounts),
    /// Makes or reuses a session token of a linked account, for a browser or a phone
    Session(Session),
    /// Connects an application: opens the browser, or takes the keys
    Connect(Connect),
    /// Lists or shows connections
    #[command(subcommand)]
    Connections(Connections),
    /// Removes an application's connections and configs, and revokes the grants
    Disconnect(Disconnect),
    /// Tells how the revocations of a disconnect ended
    Receipt(Receipt),
    /// Shows or changes what a linked account has set for an application
    Config(Config),
    /// Shows the credential that a call needs, renewed if needed
    Credential(Credential),
    /// Sends an authenticated call to an application and prints the answer's body
    Request(Request),
    /// Prints what happened
    Events(Events),
    /// Master keys and data keys
    #[command(subcommand)]
    Keys(Keys),
    /// Serves the HTTP API until Ctrl-C or SIGTERM, for both environments
    Serve(Serve),
    /// Copies the store into a file while others use it
    Backup(Backup),
    /// Puts a backup in the place of the store
    Restore(Restore),
    /// Brings the store's schema up to date, as opening it does
    Migrate(Migrate),
    /// Runs a sandbox for `sandbox-oauth` and `sandbox-key` until Ctrl-C
    Sandbox(Sandbox),
    /// Checks key, store, project, clients and reachability; changes nothing
    Doctor(Doctor),
    /// Shows the whole life of a connection in one process, offline, and checks what it claims
    Demo,
}

#[derive(Args)]
pub struct Init {
    /// Writes what is missing although other files are there; they stay as they are
    #[arg(long)]
    pub force: bool,
}

#[derive(Subcommand)]
pub enum Apps {
    /// Lists every application that is known, and whether the project offers it
    List,
    /// Shows one application
    Show {
        /// Its name, e.g. `slack`
        slug: String,
    },
    /// Checks manifests and the project file: file, line, key and cure
    Lint {
        /// Manifests, project files, or folders of manifests [default: the built-in ones, the project's and smalt.toml]
        files: Vec<PathBuf>,
    },
    /// Writes a first manifest, from what the provider publishes about itself or from your answers
    New(NewApp),
    /// Connects, renews, calls and disconnects once with your own client, and shows what the provider answered, redacted;
    /// keeps nothing
    Test(TestApp),
}

#[derive(Args)]
pub struct NewApp {
    /// The name it will have, e.g. `acme`
    pub slug: String,
    /// The provider's issuer, its discovery document's address, or a file that holds the document
    /// (OpenID Connect Discovery, RFC 8414)
    #[arg(long, value_name = "URL")]
    pub discover: Option<String>,
    /// The name for people [default: the slug]
    #[arg(long)]
    pub name: Option<String>,
    /// The folder to write to [default: the project's first folder of manifests, else `apps`]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
pub struct TestApp {
    /// Its name, e.g. `slack`
    pub slug: String,
    /// What the application asks for; `-` reads the value from a line of the standard input
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = secret_pair)]
    pub inputs: Vec<(String, Secret)>,
    /// Which way to authorise, where the application offers several
    #[arg(long, value_name = "TYPE", value_parser = auth_type)]
    pub auth_type: Option<AuthType>,
    /// A scope to ask for in place of the project's; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// A path below the application's base URL to read with the new credential
    #[arg(long, value_name = "PATH")]
    pub get: Option<String>,
    /// Prints the page's address instead of opening the browser; it must be opened on this machine
    #[arg(long)]
    pub no_browser: bool,
}

#[derive(Subcommand)]
pub enum Accounts {
    /// Makes a linked account; an error when it exists
    Create(PutAccount),
    /// Makes a linked account or changes it
    Upsert(PutAccount),
    /// Shows a linked account and its applications
    Show {
        /// Your own id for the customer
        id: String,
    },
    /// Lists linked accounts, newest first
    List {
        /// A part of the id or the name
        #[arg(long)]
        search: Option<String>,
        /// How many, 1 to 500
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Where the last page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Deletes a linked account with everything of it; its grants are revoked
    Delete {
        /// Your own id for the customer
        id: String,
        /// Does not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args)]
pub struct PutAccount {
    /// Your own id for the customer
    pub id: String,
    /// A name for people
    #[arg(long)]
    pub name: Option<String>,
    /// A fact about the customer; may be repeated, and replaces the whole set
    #[arg(long = "property", value_name = "KEY=VALUE", value_parser = pair)]
    pub properties: Vec<(String, String)>,
}

/// The linked account that a command is about.
#[derive(Args)]
pub struct Of {
    /// The linked account
    #[arg(long, env = "SMALT_ACCOUNT", value_name = "ID")]
    pub account: String,
}

#[derive(Args)]
pub struct Session {
    /// The linked account
    pub account: String,
    /// Makes a new one even if the last has more than half its life left
    #[arg(long)]
    pub force: bool,
}

#[derive(Args)]
pub struct Connect {
    /// The application, e.g. `slack`
    pub app: String,
    #[command(flatten)]
    pub of: Of,
    /// What the application asks for; `-` reads the value from a line of the standard input, so that nobody sees it in the
    /// list of processes. What is missing is asked for on a terminal
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = secret_pair)]
    pub inputs: Vec<(String, Secret)>,
    /// Prints the page's address instead of opening the browser; it must be opened on this machine
    #[arg(long)]
    pub no_browser: bool,
    /// Shows a code that can be entered on any device, where the application offers that
    #[arg(long)]
    pub device: bool,
    /// A scope to ask for in place of the project's; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// `oauth2` or `keybased`, where the application offers both
    #[arg(long, value_name = "TYPE", value_parser = auth_type)]
    pub auth_type: Option<AuthType>,
    /// The connection to authorise again
    #[arg(long, value_name = "ID")]
    pub connection: Option<String>,
}

#[derive(Subcommand)]
pub enum Connections {
    /// Lists connections, default ones first
    List {
        #[command(flatten)]
        of: Of,
        /// Only of this application
        #[arg(long)]
        app: Option<String>,
    },
    /// Shows one connection
    Show {
        /// The connection's id
        id: String,
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Args)]
pub struct Disconnect {
    /// The application, e.g. `slack`
    pub app: String,
    #[command(flatten)]
    pub of: Of,
    /// Only this connection
    #[arg(long, value_name = "ID")]
    pub connection: Option<String>,
    /// What to do about connections that share the grant: `ask` refuses and names them, `keep` leaves the grant alive, `kill` ends
    /// it for all
    #[arg(long, default_value = "ask", value_name = "POLICY", value_parser = siblings)]
    pub siblings: SiblingPolicy,
    /// How long to wait for the provider's answer
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub wait: Duration,
}

#[derive(Args)]
pub struct Receipt {
    /// The id that `disconnect` printed
    pub id: String,
    #[command(flatten)]
    pub of: Of,
}

#[derive(Args)]
pub struct Config {
    /// The application, e.g. `slack`
    pub app: String,
    #[command(flatten)]
    pub of: Of,
    /// The config's id [default: the linked account's]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Sets a field: text as it is for text fields, JSON for the others
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// Clears a field
    #[arg(long = "unset", value_name = "FIELD")]
    pub unset: Vec<String>,
    /// Switches a workflow on
    #[arg(long = "enable", value_name = "WORKFLOW")]
    pub enable: Vec<String>,
    /// Switches a workflow off
    #[arg(long = "disable", value_name = "WORKFLOW")]
    pub disable: Vec<String>,
    /// Sets a workflow's field
    #[arg(long = "workflow-set", value_name = "WORKFLOW.FIELD=VALUE", value_parser = workflow_pair)]
    pub workflow_set: Vec<(String, String, String)>,
}

#[derive(Args)]
pub struct Credential {
    /// The application, e.g. `slack`
    pub app: String,
    #[command(flatten)]
    pub of: Of,
    /// The connection [default: the default one]
    #[arg(long, value_name = "ID")]
    pub connection: Option<String>,
    /// Prints the secret itself, as `--json` does
    #[arg(long)]
    pub show: bool,
}

#[derive(Args)]
pub struct Request {
    /// The application, e.g. `slack`
    pub app: String,
    /// `GET`, `POST`, …
    pub method: String,
    /// A path below the application's base URL
    pub path: String,
    #[command(flatten)]
    pub of: Of,
    /// The connection [default: the default one]
    #[arg(long, value_name = "ID")]
    pub connection: Option<String>,
    /// The body; `-` reads it from the standard input
    #[arg(long, value_name = "JSON")]
    pub json_body: Option<String>,
    /// A query parameter
    #[arg(long = "query", value_name = "NAME=VALUE", value_parser = pair)]
    pub query: Vec<(String, String)>,
    /// A header
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    pub headers: Vec<(String, String)>,
}

#[derive(Args)]
pub struct Events {
    /// Goes on until Ctrl-C; with --json one value a line
    #[arg(long)]
    pub follow: bool,
    /// The cursor where you stopped [default: the oldest that is kept]
    #[arg(long, value_name = "CURSOR")]
    pub since: Option<String>,
    /// How many at most [default: all that are there]
    #[arg(long, value_name = "N", conflicts_with = "follow", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

#[derive(Subcommand)]
pub enum Keys {
    /// API keys: what backends of yours prove themselves with at `smalt serve`
    #[command(subcommand)]
    Api(ApiKeys),
    /// Makes a master key: into a new file that only you can read, or onto the standard output
    Create {
        /// The file, which must not be there yet
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Replaces the data keys while others go on working: seals everything anew, then drops the replaced keys. Goes on where
    /// an interrupted one stopped; with --json one value a line
    Rotate,
    /// Wraps the data keys under another master key; no row is touched. The key given everywhere else is the new one
    Rewrap {
        /// The earlier key's file [default: SMALT_OLD_KEY, then SMALT_OLD_KEY_FILE]
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
}

#[derive(Args)]
pub struct Backup {
    /// The file to write; only you can read it
    pub file: PathBuf,
    /// Replaces a file that is there
    #[arg(long)]
    pub force: bool,
    /// Writes nothing: says whether the backup in the file is whole
    #[arg(long, conflicts_with = "force")]
    pub check: bool,
}

#[derive(Args)]
pub struct Restore {
    /// The backup
    pub file: PathBuf,
    /// Replaces a store that is there; its processes must be stopped
    #[arg(long)]
    pub force: bool,
}

#[derive(Args)]
pub struct Migrate {
    /// Changes nothing: says the store's schema and what would run
    #[arg(long)]
    pub check: bool,
}

#[derive(Subcommand)]
pub enum ApiKeys {
    /// Makes an API key for a backend of yours; it is shown this once
    Create {
        /// What you will tell it apart by
        #[arg(long, default_value = "backend")]
        name: String,
    },
    /// Lists API keys, without the keys themselves
    List,
    /// Ends an API key at once
    Revoke {
        /// The key's id
        id: String,
    },
}

#[derive(Args)]
pub struct Serve {
    /// The address to listen on; port 0 takes any that is free
    #[arg(long, env = "SMALT_LISTEN", default_value = "127.0.0.1:4500", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where the server is reached from outside [default: the project's org.public_url, then the address]
    #[arg(long, env = "SMALT_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// To try things: throw-away key and store, the sandbox applications, pages on localhost. Reads and writes no file; on
    /// this machine only
    #[arg(long)]
    pub dev: bool,
    /// For a program that starts it for itself: every call must carry the secret that is printed first, and nothing may be
    /// forwarded; on this machine only
    #[arg(long, env = "SMALT_LOCAL", conflicts_with = "dev")]
    pub local: bool,
    /// How log lines on the standard error output look
    #[arg(long, env = "SMALT_LOG", default_value = "text", value_name = "FORM")]
    pub log: LogForm,
    /// What is logged; `info` has a line per request
    #[arg(long, env = "SMALT_LOG_LEVEL", default_value = "warn", value_name = "LEVEL")]
    pub log_level: LogLevel,
    /// An address for metrics, as Prometheus reads them at /metrics; without a credential, so keep it inside
    #[arg(long, env = "SMALT_METRICS", value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
    /// An OpenTelemetry collector that takes OTLP over HTTP, e.g. http://127.0.0.1:4318: gets a span per request
    #[arg(long, env = "SMALT_TRACES", value_name = "URL")]
    pub traces: Option<String>,
}

/// How log lines look.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum LogForm {
    /// For people
    Text,
    /// One JSON object a line
    Json,
    /// None
    Off,
}

/// What is logged.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum LogLevel {
    /// What must not happen
    Error,
    /// What somebody should look at
    Warn,
    /// A line per request
    Info,
    /// Everything
    Debug,
}

#[derive(Args)]
pub struct Sandbox {
    /// The address; only this machine can reach it
    #[arg(long, default_value = "127.0.0.1:4600", value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

#[derive(Args)]
pub struct Doctor {
    /// Sends nothing over the network
    #[arg(long)]
    pub offline: bool,
}

fn environment(text: &str) -> Result<Environment, String> {
    Environment::parse(text).ok_or_else(|| "`test` or `production` is expected".to_owned())
}

fn auth_type(text: &str) -> Result<AuthType, String> {
    AuthType::parse(text).ok_or_else(|| "`oauth2` or `keybased` is expected".to_owned())
}

fn siblings(text: &str) -> Result<SiblingPolicy, String> {
    SiblingPolicy::parse(text).ok_or_else(|| "`ask`, `keep` or `kill` is expected".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a name, `=` and a value are expected".to_owned()),
    }
}

fn secret_pair(text: &str) -> Result<(String, Secret), String> {
    pair(text).map(|(name, value)| (name, Secret::new(value)))
}

fn workflow_pair(text: &str) -> Result<(String, String, String), String> {
    let (path, value) = pair(text)?;
    match path.split_once('.') {
        Some((workflow, field)) if !workflow.is_empty() && !field.is_empty() => Ok((workflow.to_owned(), field.to_owned(), value)),
        _ => Err("a workflow, `.`, a field, `=` and a value are expected".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time like `10s`, `500ms` or `2m` is expected".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => Some(number),
        "s" | "" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        _ => None,
    };
    // The engine adds it to the time of now.
    millis.filter(|millis| *millis <= 24 * 3_600_000).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        for wrong in ["", "s", "-1s", "1h", "99999999999999999999s", "18446744073709551615m", "1.5s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_page_of_the_command_names_every_subcommand_option_and_exit_code() {
        fn all(command: &clap::Command, path: &str, page: &str) {
            for option in command.get_arguments().filter_map(clap::Arg::get_long).filter(|o| !matches!(*o, "help" | "version")) {
                assert!(page.contains(&format!("--{option}")), "`{path} --{option}` is missing");
            }
            for sub in command.get_subcommands() {
                let path = format!("{path} {}", sub.get_name());
                assert!(page.contains(&path), "`{path}` is missing");
                all(sub, &path, page);
            }
        }
        let page = include_str!("../../../../../docs/command.md");
        all(&Cli::command(), "smalt", page);
        for code in EXIT_CODES.lines().filter_map(|line| line.split_whitespace().next()).filter(|word| word.parse::<u8>().is_ok()) {
            assert!(page.contains(&format!("| {code} |")), "exit code {code} is missing");
        }
    }
}
