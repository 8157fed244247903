//! The project as a file: reading it, its secrets, and noticing when it changes.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use super::{Project, SecretRef, lint};
use crate::{
    Result, Secret,
    error::{bail, err},
    manifest::{Finding, file_finding, read_text},
};

/// The file is looked at again after this time at the earliest.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// What tells that a file changed: its time, size and identity.
pub(crate) type Stamp = (Option<SystemTime>, u64, u64);

/// The stamp of a file now; absent when it cannot be seen.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let identity = std::os::unix::fs::MetadataExt::ino(&meta);
    #[cfg(not(unix))]
    let identity = 0;
    Some((meta.modified().ok(), meta.len(), identity))
}

impl Project {
    /// Reads a project file.
    ///
    /// # Errors
    /// `project_invalid`, with file, line, key and cure.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match read_text(path) {
            Ok(text) => Self::parse(&text, &name),
            Err(message) => Err(err!(ProjectInvalid, "{name}: {message}; `smalt init` writes a project file").with("file", name)),
        }
    }

    /// Reads a project from its text. `file_name` stands in messages.
    ///
    /// # Errors
    /// `project_invalid`, with file, line, key and cure.
    pub fn parse(text: &str, file_name: &str) -> Result<Self> {
        let (project, findings) = lint::read(text, file_name);
        project.ok_or_else(|| invalid(&findings))
    }

    /// Checks a project that was made as a value.
    ///
    /// # Errors
    /// `project_invalid`, with key and cure.
    pub fn check(&self) -> Result<()> {
        let findings = lint::lint_value(self);
        if findings.iter().any(Finding::is_error) { Err(invalid(&findings)) } else { Ok(()) }
    }
}

/// The first error among findings, as an error.
fn invalid(findings: &[Finding]) -> crate::Error {
    let more = findings.iter().filter(|f| f.is_error()).count().saturating_sub(1);
    let Some(first) = findings.iter().find(|f| f.is_error()) else {
        return err!(ProjectInvalid, "the project could not be read");
    };
    let more = if more > 0 { format!(" ({more} more)") } else { String::new() };
    err!(ProjectInvalid, "{first}{more}").with("file", &first.file).with("line", first.line).with("key", &first.key)
}

impl SecretRef {
    /// Reads the secret now. Relative files stand below `base_dir`, the project file's folder.
    ///
    /// # Errors
    /// `secret_missing` when the variable or file is not there, is empty, or is not UTF-8.
    pub fn resolve(&self, base_dir: &Path) -> Result<Secret> {
        let secret = match self {
            Self::Env(name) => match std::env::var(name) {
                Ok(value) => Secret::new(value),
                Err(_) => return Err(err!(SecretMissing, "the environment variable `{name}` is not set").with("env", name)),
            },
            Self::File(path) => {
                let path = base_dir.join(path);
                let text = read_text(&path).map_err(|message| {
                    err!(SecretMissing, "the secret's file `{}`: {message}", path.display()).with("file", path.display())
                })?;
                // Held as a secret at once, so that the whole text is cleared as well.
                let text = Secret::new(text);
                let line = text.expose();
                let line = line.strip_suffix('\n').map_or(line, |l| l.strip_suffix('\r').unwrap_or(l));
                Secret::new(line)
            }
        };
        if secret.is_empty() {
            let (kind, name) = match self {
                Self::Env(name) => ("env", name.clone()),
                Self::File(path) => ("file", path.display().to_string()),
            };
            return Err(err!(SecretMissing, "the secret `{name}` is empty").with(kind, name));
        }
        Ok(secret)
    }
}

/// A project in force.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedProject {
    /// What it says.
    pub project: Project,
    /// The folder that relative paths start from.
    pub base_dir: PathBuf,
    /// Grows by one with every change that came into force; starts at 1.
    pub generation: u64,
}

impl LoadedProject {
    /// The folders with more manifests, made absolute by the base folder.
    pub fn manifest_folders(&self) -> Vec<PathBuf> {
        self.project.manifests.iter().map(|folder| self.base_dir.join(folder)).collect()
    }
}

/// Where the project comes from: a file that is read again when it changes, or a value. A file that became wrong leaves
/// the last good project in force and is reported by [`Self::findings`].
#[derive(Debug)]
pub struct ProjectSource {
    path: Option<PathBuf>,
    /// Stands in the place of whatever `org.id` the project names.
    org: Option<String>,
    /// Whether a call took the file's place.
    replaced: AtomicBool,
    look: Mutex<Look>,
    current: RwLock<Arc<LoadedProject>>,
    findings: RwLock<Vec<Finding>>,
}

#[derive(Debug)]
struct Look {
    at: Instant,
    stamp: Option<Stamp>,
}

impl ProjectSource {
    /// A project file.
    ///
    /// # Errors
    /// `project_invalid` when it cannot be taken into force now.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let stamp = stamp(&path);
        let project = Project::load(&path)?;
        let base_dir = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self::new(Some(path), stamp, project, base_dir))
    }

    /// A project as a value; relative paths in it start from `base_dir`.
    ///
    /// # Errors
    /// `project_invalid` when it has a mistake.
    pub fn value(project: Project, base_dir: impl Into<PathBuf>) -> Result<Self> {
        project.check()?;
        Ok(Self::new(None, None, project, base_dir.into()))
    }

    fn new(path: Option<PathBuf>, stamp: Option<Stamp>, project: Project, base_dir: PathBuf) -> Self {
        let loaded = LoadedProject { project, base_dir, generation: 1 };
        Self {
            path,
            org: None,
            replaced: AtomicBool::new(false),
            look: Mutex::new(Look { at: Instant::now(), stamp }),
            current: RwLock::new(Arc::new(loaded)),
            findings: RwLock::default(),
        }
    }

    /// The same for another organisation: its id takes the place of `org.id`, also when the file changes.
    ///
    /// # Errors
    /// `project_invalid` when it is not an id.
    pub fn of_organisation(mut self, id: impl Into<String>) -> Result<Self> {
        let (id, current) = (id.into(), self.peek());
        let mut project = current.project.clone();
        project.org.id.clone_from(&id);
        project.check()?;
        let loaded = LoadedProject { project, ..(*current).clone() };
        (self.org, self.current) = (Some(id), RwLock::new(Arc::new(loaded)));
        Ok(self)
    }

    /// The project in force. Looks at the file again when the last look is a second old.
    pub fn current(&self) -> Arc<LoadedProject> {
        let due = self.path.is_some() && self.look.try_lock().is_ok_and(|look| look.at.elapsed() >= CHECK_EVERY);
        if due {
            self.refresh();
        }
        self.peek()
    }

    /// Like [`Self::current`], from memory only: no file is looked at.
    pub fn peek(&self) -> Arc<LoadedProject> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is wrong with the file now; empty while what it says is in force.
    pub fn findings(&self) -> Vec<Finding> {
        self.findings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another project into force; the file, if there is one, is not looked at any more.
    ///
    /// # Errors
    /// `project_invalid`; then nothing changes.
    pub fn set(&self, project: Project) -> Result<()> {
        project.check()?;
        self.replaced.store(true, Ordering::Release);
        self.take(project);
        Ok(())
    }

    fn take(&self, mut project: Project) {
        if let Some(org) = &self.org {
            project.org.id.clone_from(org);
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.project != project {
            let next = LoadedProject { project, base_dir: current.base_dir.clone(), generation: current.generation + 1 };
            *current = Arc::new(next);
        }
    }

    /// Looks at the file now.
    pub fn refresh(&self) {
        let Some(path) = self.path.as_ref().filter(|_| !self.replaced.load(Ordering::Acquire)) else { return };
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        look.at = Instant::now();
        let now = stamp(path);
        if now == look.stamp {
            return;
        }
        // The stamp is taken first: a change while reading is seen at the next look.
        look.stamp = now;
        let name = path.display().to_string();
        let (project, findings) = match read_text(path) {
            Ok(text) => lint::read(&text, &name),
            Err(message) => {
                let cure = "put the project file back; until then the last good one stays in force";
                (None, vec![file_finding(path, "", &message, cure)])
            }
        };
        if let Some(project) = project {
            self.take(project);
        }
        *self.findings.write().unwrap_or_else(PoisonError::into_inner) = findings.into_iter().filter(Finding::is_error).collect();
    }
}

impl LoadedProject {
    /// The OAuth client of an application in an environment, with its secret.
    ///
    /// # Errors
    /// `client_missing` when the project names none, `secret_missing` when its secret cannot be read.
    pub fn client(&self, slug: &str, environment: crate::model::Environment) -> Result<(&super::Client, Option<Secret>)> {
        let Some(client) = self.project.apps.get(slug).and_then(|app| app.client.get(&environment)) else {
            bail!(ClientMissing, "`{slug}` has no OAuth client for {environment}, which would be `[apps.{slug}.client.{environment}]`");
        };
        let secret = client.secret.as_ref().map(|secret| secret.resolve(&self.base_dir)).transpose()?;
        Ok((client, secret))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Code, model::Environment};

    #[test]
    fn a_file_is_read_again_and_a_broken_one_keeps_the_last_good_project() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("smalt.toml");
        std::fs::write(&path, "version = 1\n[org]\nname = \"A\"\n").unwrap();
        let source = ProjectSource::file(&path).unwrap();
        assert_eq!((source.current().generation, source.current().project.org.name.as_str()), (1, "A"));
        assert_eq!(source.current().base_dir, folder.path());

        std::fs::write(&path, "version = 1\n[org]\nname = \"Beta\"\n").unwrap();
        source.refresh();
        assert_eq!((source.peek().generation, source.peek().project.org.name.as_str()), (2, "Beta"));

        std::fs::write(&path, "version = 1\n[org]\nnane = \"Gamma\"\n").unwrap();
        source.refresh();
        assert_eq!(source.peek().generation, 2);
        assert_eq!(source.findings()[0].line, 3);

        std::fs::remove_file(&path).unwrap();
        source.refresh();
        assert_eq!((source.peek().generation, source.findings().len()), (2, 1));

        std::fs::write(&path, "version = 1\n[org]\nname = \"Delta\"\n").unwrap();
        source.refresh();
        assert_eq!((source.peek().generation, source.findings().len()), (3, 0));
    }

    #[test]
    fn an_organisation_of_its_own_stays_through_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("smalt.toml");
        std::fs::write(&path, "version = 1\n[org]\nid = \"acme\"\n").unwrap();
        let source = ProjectSource::file(&path).unwrap().of_organisation("other").unwrap();
        assert_eq!(source.current().project.org.id, "other");
        std::fs::write(&path, "version = 1\n[org]\nid = \"acme\"\nname = \"A\"\n").unwrap();
        source.refresh();
        assert_eq!((source.peek().project.org.id.as_str(), source.peek().project.org.name.as_str()), ("other", "A"));
        assert!(ProjectSource::file(&path).unwrap().of_organisation("a b").unwrap_err().is(Code::ProjectInvalid));
    }

    #[test]
    fn errors_name_file_line_key_and_cure() {
        let error = Project::parse("version = 1\n\n[org]\npublic_urll = \"x\"\n", "smalt.toml").unwrap_err();
        assert!(error.is(Code::ProjectInvalid));
        assert!(
            error.reason().contains("smalt.toml:4: org.public_urll: ") && error.reason().contains("did you mean `public_url`"),
            "{error}"
        );
        let missing = Project::load("/nowhere/smalt.toml").unwrap_err();
        assert!(missing.is(Code::ProjectInvalid) && missing.reason().contains("/nowhere/smalt.toml"));
    }

    #[test]
    fn secrets_are_read_by_reference() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "from file\r\n").unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        assert_eq!(SecretRef::File("secret".into()).resolve(folder.path()).unwrap().expose(), "from file");
        for missing in [SecretRef::File("empty".into()), SecretRef::File("none".into()), SecretRef::Env("SMALT_TEST_NOT_SET".into())] {
            let error = missing.resolve(folder.path()).unwrap_err();
            assert!(error.is(Code::SecretMissing) && !error.info().context.is_empty(), "{error}");
        }
        // Any variable that every test process has.
        assert!(!SecretRef::Env("PATH".into()).resolve(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn a_client_is_found_by_environment() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s"), "shh").unwrap();
        let text = "version = 1\n[apps.slack.client.test]\nid = \"1.2\"\nsecret = { file = \"s\" }\n";
        let source = ProjectSource::value(Project::parse(text, "smalt.toml").unwrap(), folder.path()).unwrap();
        let loaded = source.current();
        let (client, secret) = loaded.client("slack", Environment::Test).unwrap();
        assert_eq!((client.id.as_str(), secret.unwrap().expose()), ("1.2", "shh"));
        assert!(loaded.client("slack", Environment::Production).unwrap_err().is(Code::ClientMissing));
        assert!(loaded.client("github", Environment::Test).unwrap_err().is(Code::ClientMissing));
    }
}
