//! Every application of the box, played against what its provider documents: `core/apps/replays/<slug>.json` holds the
//! requests that must leave and the answers that come, `docs/adding-an-application.md` describes the form.
//! `APP=slack` plays one only. `tests/replay/odd` holds fictional ones in the same form: every way of the manifest language
//! that a provider of the box does not have.
#![allow(clippy::unwrap_used)]

mod form;
mod grants;
mod mutants;
mod play;
mod provider;
mod signing;

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use form::{At, Replay};
use smalt::manifest::{AppManifest, Rotation, SANDBOX_SLUGS};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("apps/replays")
}

/// The applications of the box, read from their files: nothing is built anew for a change. The sandbox's own play against
/// a real provider elsewhere.
fn applications() -> Vec<Arc<AppManifest>> {
    let wanted = std::env::var("APP").ok();
    let folders = [folder().join(".."), odd()];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let chosen = paths.into_iter().filter(|path| {
        let slug = path.file_stem().unwrap().to_str().unwrap();
        let plays = !SANDBOX_SLUGS.contains(&slug) && wanted.as_deref().is_none_or(|wanted| wanted == slug);
        plays && path.extension().is_some_and(|extension| extension == "toml")
    });
    // What others extend plays in its heirs.
    chosen.map(|path| Arc::new(AppManifest::load(path).unwrap())).filter(|manifest| !manifest.is_abstract).collect()
}

fn odd() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/replay/odd")
}

fn replay(slug: &str) -> Replay {
    let name = format!("{slug}.json");
    let path = [odd(), folder()].map(|folder| folder.join(&name)).into_iter().find(|path| path.exists()).unwrap_or(name.into());
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{slug}` has no replay: {}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn report(trouble: &[String]) {
    assert!(trouble.is_empty(), "{} findings:\n{}", trouble.len(), trouble.join("\n"));
}

/// Plays what the jobs say, a few at a time, each on its own thread's runtime.
fn all<J: Send, T: Send>(jobs: Vec<J>, work: impl AsyncFn(J) -> T + Sync) -> Vec<T> {
    let (jobs, done) = (std::sync::Mutex::new(jobs), std::sync::Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                loop {
                    let Some(job) = jobs.lock().unwrap().pop() else { return };
                    let outcome = runtime.block_on(work(job));
                    done.lock().unwrap().push(outcome);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

#[test]
fn every_application_does_what_its_provider_documents() {
    let outcomes = all(applications(), async |manifest: Arc<AppManifest>| {
        let outcome = play::play(&replay(&manifest.slug), &manifest).await;
        outcome.err().map(|trouble| format!("{}: {trouble}", manifest.slug))
    });
    assert!(!outcomes.is_empty(), "nothing was played");
    report(&outcomes.into_iter().flatten().collect::<Vec<_>>());
}

/// A replay shows the whole way: an empty or partial one would prove nothing.
#[test]
fn every_replay_is_whole() {
    let mut trouble = Vec::new();
    for manifest in applications() {
        let slug = &manifest.slug;
        let replay = replay(slug);
        let mut must = |holds: bool, what: &str| trouble.extend((!holds).then(|| format!("{slug}: {what}")));
        must(replay.replay == 1, "`replay` must be 1");
        must(!replay.sources.is_empty() && replay.sources.iter().all(|page| page.starts_with("https://")), "it names no sources");
        must(replay.oauth2.is_some() == manifest.oauth2.is_some(), "`oauth2` is in one of manifest and replay only");
        must(replay.keybased.is_some() == manifest.keybased.is_some(), "`keybased` is in one of manifest and replay only");
        must(replay.oauth1.is_some() == manifest.oauth1.is_some(), "`oauth1` is in one of manifest and replay only");
        if let (Some(way), Some(oauth)) = (&replay.oauth1, &manifest.oauth1) {
            for at in [At::Temporary, At::Callback, At::Exchange] {
                must(way.errors.iter().any(|refusal| refusal.at == at), "a refusal of OAuth 1.0a is missing");
            }
            must(oauth.revoke.is_none() != (way.revocation == "revoked"), "`revocation` must be `revoked` where there is one");
            must(oauth.identity.is_none() == way.connection.identity.is_none(), "the identity must be shown");
        }
        if let (Some(way), Some(oauth)) = (&replay.oauth2, &manifest.oauth2) {
            let refused = |at: At| way.errors.iter().any(|refusal| refusal.at == at);
            let renews = oauth.refresh.rotation != Rotation::Never;
            must(refused(At::Exchange), "no refused exchange");
            must(refused(At::Refresh) || !renews, "no refused refresh");
            must(refused(At::Revoke) || oauth.revoke.is_none(), "no refused revocation");
            must(way.refresh.is_some() == renews, "a refresh must be shown unless `rotation` is `never`");
            must(oauth.revoke.is_none() != (way.revocation == "revoked"), "`revocation` must be `revoked` where there is one");
            must(oauth.identity.is_none() == way.connection.identity.is_none(), "the identity must be shown");
            must(oauth.device.is_some() == way.device.is_some(), "the device flow must be shown");
            let registers = oauth.registration.is_some();
            must(registers != way.registration.is_empty(), "the registration must be shown");
            must(refused(At::Registration) || !registers, "no refused registration");
            let asked = way.scopes.as_ref().unwrap_or(&oauth.scopes.default).iter().chain(&oauth.scopes.required);
            let asked: BTreeSet<_> = asked.collect();
            must(asked.len() != 1, "one scope shows no separator: ask for two");
        }
        if let (Some(way), Some(keys)) = (&replay.keybased, &manifest.keybased) {
            must(way.verify.is_some() == keys.verify.is_some(), "the verify request must be shown");
            must(keys.verify.is_none() || !way.errors.is_empty(), "no refused keys");
            let refused = |at: At| way.errors.iter().any(|refusal| refusal.at == at);
            must(way.token.is_some() == keys.token.is_some(), "the request for a token must be shown");
            must(keys.token.is_none() || (refused(At::Token) && refused(At::Renewal)), "no refused request for a token, first and later");
            let ends = keys.token.as_ref().is_some_and(|token| token.revoke.is_some());
            must(!ends || refused(At::Revoke), "no refused revocation");
        }
    }
    report(&trouble);
}

#[test]
fn no_replay_is_without_its_application() {
    let known: BTreeSet<String> = applications().iter().map(|manifest| manifest.slug.clone()).collect();
    if std::env::var_os("APP").is_some() {
        return;
    }
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let slug = path.file_stem().unwrap().to_str().unwrap();
        assert!(path.extension().is_some_and(|end| end == "json") && known.contains(slug), "{} plays nothing", path.display());
    }
}

/// A manifest that is wrong anywhere fails its replay: every URL, parameter, header, pointer, placement and error code.
#[test]
fn a_wrong_manifest_fails_its_replay() {
    let mut jobs = Vec::new();
    for manifest in applications() {
        let replay = Arc::new(replay(&manifest.slug));
        let names_scopes = replay.oauth2.as_ref().is_some_and(|way| way.scopes.is_some());
        for (place, mutant) in mutants::mutants(&serde_json::to_value(&*manifest).unwrap()) {
            if names_scopes && place.starts_with("/oauth2/scopes/default/") {
                continue;
            }
            jobs.push((manifest.slug.clone(), replay.clone(), place, mutant));
        }
    }
    let outcomes = all(jobs, async |(slug, replay, place, mutant)| {
        // What cannot be read or is refused by lint cannot be shipped.
        let Ok(mutant) = serde_json::from_value::<AppManifest>(mutant) else { return (None, false) };
        if mutant.check().is_err() {
            return (None, false);
        }
        let unplayed = replay.unplayed.contains_key(&place);
        match (play::play(&replay, &mutant).await.is_ok(), unplayed) {
            (true, false) => (Some(format!("{slug}: the replay does not notice another {place}")), true),
            (false, true) => (Some(format!("{slug}: `unplayed` names {place}, but the replay notices it")), true),
            _ => (None, true),
        }
    });
    let played = outcomes.iter().filter(|(_, played)| *played).count();
    // The smallest manifest, one key and one request, has five places.
    assert!(played >= 5 * applications().len(), "{played} wrong manifests were played");
    report(&outcomes.into_iter().filter_map(|(trouble, _)| trouble).collect::<Vec<_>>());
}
