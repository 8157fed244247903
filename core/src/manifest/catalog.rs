use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use super::{
    AppManifest, Finding, TokenClient,
    document::{MAX_BYTES, did_you_mean},
    family, lint,
};
use crate::{
    Result,
    error::{bail, err},
    project::file::{Stamp, stamp},
};

/// Folders are looked at again after this time at the earliest.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The built-in manifests, in the order of their names: file name and text. `build.rs` lists the folder `apps`.
pub(super) const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/apps.rs"));

/// The applications of the box by slug: text, and the manifest once somebody asked for it.
static BOX: LazyLock<BTreeMap<&str, Boxed>> = LazyLock::new(|| {
    let boxed = BUILT_IN.iter().filter_map(|(file, text)| Some((file.strip_suffix(".toml")?, Boxed { file, text, read: OnceLock::new() })));
    // What is only a base is no application.
    boxed.filter(|(_, boxed)| !boxed.text.contains("\nabstract = true")).collect()
});

struct Boxed {
    file: &'static str,
    text: &'static str,
    read: OnceLock<Option<Arc<AppManifest>>>,
}

impl Boxed {
    /// Reading hundreds at every start would cost more than it gives.
    fn manifest(&self) -> Option<Arc<AppManifest>> {
        self.read.get_or_init(|| family::read_unchecked(self.text, self.file, &lint::in_box).map(Arc::new)).clone()
    }
}

/// The slugs of the built-in sandbox applications; nobody else may bring a manifest of that name.
pub const SANDBOX_SLUGS: [&str; 2] = ["sandbox-oauth", "sandbox-key"];

impl AppManifest {
    /// Reads a manifest file. What it extends is looked for in the same folder, then in the box.
    ///
    /// # Errors
    /// `manifest_invalid`, with file, line, key and cure.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match read_text(path) {
            Ok(text) => {
                let (manifest, findings) = lint::read(&text, &name, &|slug, line| lint::beside(path, slug, line));
                manifest.ok_or_else(|| invalid(&findings))
            }
            Err(message) => Err(err!(ManifestInvalid, "{name}: {message}").with("file", name)),
        }
    }

    /// Reads a manifest from its text. `file_name` stands in messages; its stem must be the slug. What it extends is looked
    /// for in the box.
    ///
    /// # Errors
    /// `manifest_invalid`, with file, line, key and cure.
    pub fn parse(text: &str, file_name: &str) -> Result<Self> {
        let (manifest, findings) = lint::read(text, file_name, &lint::in_box);
        manifest.ok_or_else(|| invalid(&findings))
    }

    /// Checks a manifest that was made as a value.
    ///
    /// # Errors
    /// `manifest_invalid`, with key and cure.
    pub fn check(&self) -> Result<()> {
        let findings = lint::lint_value(self);
        if findings.iter().any(Finding::is_error) { Err(invalid(&findings)) } else { Ok(()) }
    }

    /// Whether it is one of the built-in sandbox applications.
    pub fn is_sandbox(&self) -> bool {
        SANDBOX_SLUGS.contains(&self.slug.as_str())
    }

    /// Whether the organisation's own client has a part in connecting: at an OAuth page, or in asking for a token with it.
    pub fn takes_client(&self) -> bool {
        self.opens_page() || self.token_of_client()
    }

    /// Whether nobody can connect before the project names a client: none is registered by protocol, and entered values alone
    /// are not enough.
    pub fn needs_client(&self) -> bool {
        let registers = self.oauth2.as_ref().is_some_and(|oauth| oauth.registration.is_some());
        self.token_of_client() || (self.opens_page() && !registers && self.keybased.is_none())
    }

    /// Whether the user consents at a page, of OAuth 2.0 or of OAuth 1.0a.
    pub fn opens_page(&self) -> bool {
        self.oauth2.is_some() || self.oauth1.is_some()
    }

    fn token_of_client(&self) -> bool {
        let token = self.keybased.as_ref().and_then(|keys| keys.token.as_ref());
        token.is_some_and(|token| token.client() == TokenClient::Project)
    }

    /// The values of its variables: the project's where it sets one, the defaults elsewhere.
    pub fn variable_values(&self, project: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let defaults = self.variables.iter().filter_map(|(name, v)| Some((name.clone(), v.default.clone()?)));
        defaults.chain(project.iter().map(|(name, value)| (name.clone(), value.clone()))).collect()
    }
}

/// The first error among findings, as an error.
fn invalid(findings: &[Finding]) -> crate::Error {
    let more = findings.iter().filter(|f| f.is_error()).count().saturating_sub(1);
    let Some(first) = findings.iter().find(|f| f.is_error()) else {
        return err!(ManifestInvalid, "the manifest could not be read");
    };
    let more = if more > 0 { format!(" ({more} more)") } else { String::new() };
    err!(ManifestInvalid, "{first}{more}").with("file", &first.file).with("line", first.line).with("key", &first.key)
}

/// A file's text, unless it is missing, no plain file, too large, or not UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    let meta = std::fs::metadata(path).map_err(|e| format!("the file cannot be read: {e}"))?;
    // A pipe or device would block the reader, or never end.
    if !meta.is_file() {
        return Err("it is not a plain file".to_owned());
    }
    if meta.len() > MAX_BYTES {
        return Err("the file is larger than 1 MiB".to_owned());
    }
    std::fs::read_to_string(path).map_err(|e| format!("the file cannot be read: {e}"))
}

/// Every manifest that is in force: the built-in ones, those of the project's folders, and those that connectors brought
/// along. A later source overrides an earlier one of the same slug. Folders are read again when they change; a file that
/// became wrong leaves its last good manifest in force and is reported by [`Self::findings`].
pub struct Catalog {
    folders: Vec<PathBuf>,
    extra: BTreeMap<String, Arc<AppManifest>>,
    files: Mutex<Files>,
    view: RwLock<Arc<View>>,
}

/// What was read from the folders, and when it was looked at last.
#[derive(Debug, Default)]
struct Files {
    looked: Option<Instant>,
    by_path: BTreeMap<(usize, PathBuf), FileState>,
    folder_findings: Vec<Finding>,
}

/// One file as it was read last.
#[derive(Clone, Debug)]
struct FileState {
    stamp: Option<Stamp>,
    /// Where its bases stand, or would stand if they were there.
    bases: Vec<(PathBuf, Option<Stamp>)>,
    good: Option<Arc<AppManifest>>,
    findings: Vec<Finding>,
}

impl FileState {
    fn is_current(&self, path: &Path) -> bool {
        self.stamp == stamp(path) && self.bases.iter().all(|(base, seen)| *seen == stamp(base))
    }
}

/// What callers see beside the box.
#[derive(Debug, Default)]
struct View {
    by_slug: BTreeMap<String, Arc<AppManifest>>,
    findings: Vec<Finding>,
}

impl Catalog {
    /// Only the built-in applications.
    pub fn builtin() -> Self {
        Self { folders: Vec::new(), extra: BTreeMap::new(), files: Mutex::default(), view: RwLock::default() }
    }

    /// The built-in applications, those of the folders (a later folder wins), and those given as values (which win over all).
    /// A broken file in a folder is no error here: see [`Self::findings`].
    ///
    /// # Errors
    /// `manifest_invalid` for a manifest given as a value that is wrong, given twice, or named like a sandbox application.
    pub fn new(folders: Vec<PathBuf>, extra: Vec<AppManifest>) -> Result<Self> {
        let mut catalog = Self::builtin();
        for manifest in extra {
            manifest.check()?;
            if manifest.is_sandbox() {
                bail!(ManifestInvalid, "the slug `{}` belongs to a sandbox application; choose another one", manifest.slug);
            }
            let slug = manifest.slug.clone();
            if catalog.extra.insert(slug.clone(), Arc::new(manifest)).is_some() {
                bail!(ManifestInvalid, "two connectors bring a manifest for `{slug}`; register one of them");
            }
        }
        catalog.folders = folders;
        catalog.refresh();
        // Also without a folder, so that the values come into view.
        catalog.show(&catalog.files.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(catalog)
    }

    /// The manifest in force for a slug. Looks at the folders again when the last look is a second old.
    pub fn get(&self, slug: &str) -> Option<Arc<AppManifest>> {
        self.look();
        self.peek(slug)
    }

    /// Like [`Self::get`], from memory only: no file is looked at.
    pub fn peek(&self, slug: &str) -> Option<Arc<AppManifest>> {
        self.view().by_slug.get(slug).cloned().or_else(|| BOX.get(slug)?.manifest())
    }

    /// Whether there is a manifest for a slug; it need not be read for that. Looks as [`Self::get`] does.
    pub fn has(&self, slug: &str) -> bool {
        self.look();
        self.view().by_slug.contains_key(slug) || BOX.contains_key(slug)
    }

    /// The known slug that a mistyped one was probably meant to be.
    pub fn near(&self, slug: &str) -> Option<String> {
        did_you_mean(slug, self.slugs().iter().map(String::as_str)).map(str::to_owned)
    }

    /// All slugs, sorted.
    pub fn slugs(&self) -> Vec<String> {
        self.look();
        let slugs: BTreeSet<String> = self.view().by_slug.keys().cloned().chain(BOX.keys().map(|slug| (*slug).to_owned())).collect();
        slugs.into_iter().collect()
    }

    /// All manifests in force, sorted by slug.
    pub fn all(&self) -> Vec<Arc<AppManifest>> {
        self.look();
        let mut all: BTreeMap<String, Arc<AppManifest>> =
            BOX.iter().filter_map(|(slug, boxed)| Some(((*slug).to_owned(), boxed.manifest()?))).collect();
        all.extend(self.view().by_slug.clone());
        all.into_values().collect()
    }

    /// What is wrong with the files of the folders now.
    pub fn findings(&self) -> Vec<Finding> {
        self.look();
        self.view().findings.clone()
    }

    /// Looks at the folders now.
    pub fn refresh(&self) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.looked = Some(Instant::now());
        if files.read(&self.folders) {
            self.show(&files);
        }
    }

    fn show(&self, files: &Files) {
        let view = Arc::new(self.compose(files));
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// Looks when it is due and nobody else is looking.
    fn look(&self) {
        if self.folders.is_empty() {
            return;
        }
        let due = match self.files.try_lock() {
            Ok(files) => files.looked.is_none_or(|at| at.elapsed() >= CHECK_EVERY),
            Err(_) => false,
        };
        if due {
            self.refresh();
        }
    }

    fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn compose(&self, files: &Files) -> View {
        let mut view = View { by_slug: BTreeMap::new(), findings: files.folder_findings.clone() };
        for ((_, path), state) in &files.by_path {
            // A base's mistakes are its heirs' too; once is enough.
            for finding in &state.findings {
                if !view.findings.contains(finding) {
                    view.findings.push(finding.clone());
                }
            }
            let Some(manifest) = state.good.as_ref().filter(|manifest| !manifest.is_abstract) else { continue };
            if manifest.is_sandbox() {
                view.findings.push(file_finding(
                    path,
                    "slug",
                    "the slug belongs to a sandbox application",
                    "choose another slug and file name",
                ));
                continue;
            }
            view.by_slug.insert(manifest.slug.clone(), manifest.clone());
        }
        view.by_slug.extend(self.extra.iter().map(|(slug, manifest)| (slug.clone(), manifest.clone())));
        view
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog").field("folders", &self.folders).field("own", &self.view().by_slug.keys()).finish_non_exhaustive()
    }
}

impl Files {
    /// Reads what changed; answers whether anything did.
    fn read(&mut self, folders: &[PathBuf]) -> bool {
        let mut present = BTreeMap::new();
        let mut folder_findings = Vec::new();
        for (index, folder) in folders.iter().enumerate() {
            let entries = match std::fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(error) => {
                    let message = format!("the folder cannot be read: {error}");
                    folder_findings.push(file_finding(folder, "", &message, "correct `manifests` in the project file, or make the folder"));
                    // A folder that vanished for a moment must not switch applications off.
                    present.extend(self.by_path.iter().filter(|((i, _), _)| *i == index).map(|(k, v)| (k.clone(), v.clone())));
                    continue;
                }
            };
            for path in entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "toml")) {
                let key = (index, path);
                let state = match self.by_path.get(&key) {
                    Some(state) if state.is_current(&key.1) => state.clone(),
                    old => read_file(&key.1, folders, old.and_then(|s| s.good.clone())),
                };
                present.insert(key, state);
            }
        }
        let stamps = |map: &BTreeMap<(usize, PathBuf), FileState>| {
            map.iter().map(|(k, s)| (k.clone(), s.stamp, s.bases.clone())).collect::<Vec<_>>()
        };
        let changed = stamps(&present) != stamps(&self.by_path) || folder_findings != self.folder_findings;
        self.by_path = present;
        self.folder_findings = folder_findings;
        changed
    }
}

/// Reads one file; a broken one keeps what was good. Its bases are looked for in its own folder, in the others, of which a
/// later one wins, and in the box.
fn read_file(path: &Path, folders: &[PathBuf], last_good: Option<Arc<AppManifest>>) -> FileState {
    // The stamp is taken first: a change while reading is seen at the next look.
    let stamp = stamp(path);
    let bases = RefCell::new(Vec::new());
    let find = |slug: &str, line: &[&str]| {
        let own = path.parent().unwrap_or(Path::new(""));
        let others = folders.iter().rev().map(PathBuf::as_path).filter(|folder| *folder != own);
        for folder in std::iter::once(own).chain(others) {
            let place = folder.join(format!("{slug}.toml"));
            let seen = crate::project::file::stamp(&place);
            bases.borrow_mut().push((place, seen));
            if let Some(source) = lint::in_folder(folder, slug, line) {
                return Some(source);
            }
        }
        lint::in_box(slug, line)
    };
    let (good, findings) = match read_text(path) {
        Ok(text) => {
            let (manifest, findings) = lint::read(&text, &path.display().to_string(), &find);
            (manifest.map(Arc::new), findings)
        }
        Err(message) => (None, vec![file_finding(path, "", &message, "make it readable, or remove it")]),
    };
    FileState { stamp, bases: bases.into_inner(), good: good.or(last_good), findings }
}

/// A finding about a file as a whole.
pub(crate) fn file_finding(path: &Path, key: &str, message: &str, cure: &str) -> Finding {
    Finding {
        file: path.display().to_string(),
        line: 0,
        column: 0,
        key: key.to_owned(),
        severity: super::Severity::Error,
        message: message.to_owned(),
        cure: cure.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SMALL: &str = r#"
manifest = 1
slug = "acme"
name = "Acme"
description = "Things for coyotes."

[keybased]
inputs = [{ name = "key", label = "API key", secret = true }]
placement = { in = "header", name = "X-Key", value = "{key}" }
"#;

    #[test]
    fn every_built_in_manifest_is_in_force() {
        let catalog = Catalog::builtin();
        let mut files: Vec<String> = BUILT_IN
            .iter()
            .filter(|(file, text)| !AppManifest::parse(text, file).unwrap().is_abstract)
            .map(|(f, _)| f.trim_end_matches(".toml").to_owned())
            .collect::<BTreeSet<String>>()
            .into_iter()
            .collect();
        // `zoho-crm.toml` stands before `zoho.toml`, but `zoho-crm` after `zoho`.
        files.sort();
        assert_eq!(catalog.slugs(), files);
        assert_eq!(catalog.all().len(), files.len());
        for manifest in catalog.all() {
            assert_eq!(catalog.get(&manifest.slug).unwrap(), manifest);
        }
    }

    #[test]
    fn a_folder_is_read_again_and_a_broken_file_keeps_the_last_good_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("acme.toml");
        std::fs::write(&file, SMALL).unwrap();
        let catalog = Catalog::new(vec![folder.path().to_owned()], vec![]).unwrap();
        assert_eq!(catalog.get("acme").unwrap().name, "Acme");

        std::fs::write(&file, SMALL.replace("\"Acme\"", "\"Acme Corp\"")).unwrap();
        catalog.refresh();
        assert_eq!(catalog.get("acme").unwrap().name, "Acme Corp");

        std::fs::write(&file, SMALL.replace("[keybased]", "[keybase")).unwrap();
        catalog.refresh();
        assert_eq!(catalog.get("acme").unwrap().name, "Acme Corp");
        let finding = catalog.findings().into_iter().find(Finding::is_error).unwrap();
        assert_eq!(finding.line, 7, "{finding}");

        std::fs::remove_file(&file).unwrap();
        catalog.refresh();
        assert!(catalog.get("acme").is_none() && catalog.findings().is_empty());
    }

    #[test]
    fn folders_override_built_in_ones_and_values_override_both() {
        let folder = tempfile::tempdir().unwrap();
        let slack = SMALL.replace("acme", "slack");
        std::fs::write(folder.path().join("slack.toml"), &slack).unwrap();
        std::fs::write(folder.path().join("sandbox-key.toml"), SMALL.replace("acme", "sandbox-key")).unwrap();
        let folders = vec![folder.path().to_owned()];
        let catalog = Catalog::new(folders.clone(), vec![]).unwrap();
        assert_eq!(catalog.get("slack").unwrap().name, "Acme");
        assert_ne!(catalog.get("sandbox-key").unwrap().name, "Acme");
        assert!(catalog.findings().iter().any(|f| f.key == "slug" && f.is_error()));

        let value = AppManifest { name: "Value".to_owned(), ..AppManifest::parse(&slack, "slack.toml").unwrap() };
        let catalog = Catalog::new(folders, vec![value.clone()]).unwrap();
        assert_eq!(catalog.get("slack").unwrap().name, "Value");
        assert_eq!(Catalog::new(vec![], vec![value.clone()]).unwrap().get("slack").unwrap().name, "Value");
        assert!(Catalog::new(vec![], vec![value.clone(), value.clone()]).is_err());
        let wrong = AppManifest { slug: "No Slug".to_owned(), ..value };
        assert!(Catalog::new(vec![], vec![wrong]).unwrap_err().is(crate::Code::ManifestInvalid));
    }

    #[test]
    fn a_missing_folder_is_reported() {
        let catalog = Catalog::new(vec![PathBuf::from("/nowhere/at/all")], vec![]).unwrap();
        assert_eq!(catalog.findings().len(), 1);
        assert!(catalog.get("slack").is_some());
    }
}
