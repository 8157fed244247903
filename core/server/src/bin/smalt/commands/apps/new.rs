//! `smalt apps new`: a first manifest.

use std::{fs, io::Write, path::PathBuf};

use serde_json::json;
use smalt::{
    Code, Error, Result,
    http::{AddressPolicy, ReqwestTransport},
    manifest::{
        self, Catalog, Finding,
        draft::{self, Draft, KeyDraft, OauthDraft},
    },
    model::Json,
    plugin::{Clock, SystemClock},
};

use super::describe;
use crate::{
    args::NewApp,
    context::Context,
    output::{Answer, BOLD, clean, note, paint, told as error},
    prompt::ask_or,
};

pub async fn run(context: &Context, args: NewApp) -> Result<Answer> {
    let project = context.project()?;
    let named = project.as_ref().and_then(|project| project.manifests.first().map(|folder| context.folder().join(folder)));
    let folder = args.out.unwrap_or_else(|| named.clone().unwrap_or_else(|| context.folder().join("apps")));
    let path = folder.join(format!("{}.toml", args.slug));
    if path.exists() {
        let reason = format!("`{}` is there already; nothing was written", path.display());
        return Err(error(Code::InvalidRequest, reason, "Edit it, or name another folder with `--out`.").with("path", path.display()));
    }
    let policy = project.as_ref().map_or_else(|| Ok(AddressPolicy::default()), |project| AddressPolicy::new(&project.network))?;
    let name = args.name.unwrap_or_else(|| title(&args.slug));
    let draft = match &args.discover {
        Some(place) => discovered(args.slug.clone(), name, place, policy).await?,
        None => asked(args.slug.clone(), name)?,
    };
    let today = SystemClock::default().now().to_string();
    let text = draft.to_toml(today.split('T').next().unwrap_or_default());
    let findings = manifest::lint(&text, &path.display().to_string());
    // A slug is part of paths and routes: a wrong one is refused before anything is written.
    if let Some(wrong) = findings.iter().find(|finding| finding.key == "slug") {
        return Err(error(Code::InvalidRequest, format!("the name {}", wrong.message), &format!("Another one: {}.", wrong.cure)));
    }
    write(&path, &text)?;
    Ok(Answer::new(
        json!({ "written": path, "slug": args.slug, "findings": findings }),
        told(&path, &args.slug, &findings, named.as_ref() != Some(&folder)),
    ))
}

fn told(path: &std::path::Path, slug: &str, findings: &[Finding], unlisted: bool) -> String {
    let mut text = format!("Wrote {}.\n", path.display());
    let builtin = Catalog::builtin().peek(slug).is_some();
    if builtin {
        text.push_str(&format!("It takes the place of the built-in `{slug}`.\n"));
    }
    if !findings.is_empty() {
        text.push_str("\nWhat it still lacks:\n");
        text.extend(findings.iter().map(describe));
    }
    text.push_str(&format!("\n{}\n", paint(BOLD, "Next")));
    if unlisted {
        let folder = path.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
        text.push_str(&format!("  put `manifests = [\"{folder}\"]` on top of the project file\n"));
    }
    text.push_str(&format!("  add `[apps.{slug}]` with your client to the project file, then\n"));
    text.push_str(&format!("  smalt apps lint {}\n  smalt apps test {slug}\n", path.display()));
    text
}

fn title(slug: &str) -> String {
    let words = slug.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    });
    words.collect::<Vec<_>>().join(" ")
}

fn write(path: &PathBuf, text: &str) -> Result<()> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = made.and_then(|()| fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes()));
    written.map_err(|error| {
        Error::new(Code::InvalidRequest, format!("`{}` cannot be written: {}", path.display(), error.kind())).with("path", path.display())
    })
}

async fn discovered(slug: String, name: String, place: &str, policy: AddressPolicy) -> Result<Draft> {
    let (document, source) = if place.contains("://") {
        note(&format!("Reading what {} publishes …", clean(place)));
        draft::discover(&ReqwestTransport::new(policy)?, place).await?
    } else {
        let text = fs::read_to_string(place).map_err(|e| {
            Error::new(Code::InvalidRequest, format!("`{place}` is neither a URL nor a file that can be read: {}", e.kind()))
        })?;
        let document: Json = serde_json::from_str(&text)
            .map_err(|e| Error::new(Code::InvalidRequest, format!("`{place}` is no JSON: line {}, column {}", e.line(), e.column())))?;
        let issuer = document.get("issuer").and_then(Json::as_str).unwrap_or_default().trim_end_matches('/').to_owned();
        (document, format!("{issuer}/.well-known/openid-configuration"))
    };
    let oauth2 = OauthDraft::from_discovery(&document)?;
    let docs_url = document.get("service_documentation").and_then(Json::as_str).map(str::to_owned);
    let description = format!("What {name} is for, in one sentence.");
    Ok(Draft { slug, name, description, docs_url, oauth2: Some(oauth2), source: Some(source), ..Draft::default() })
}

/// The questions; a pipe may answer them, a line each.
fn asked(slug: String, name: String) -> Result<Draft> {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let name = ask_or("Name for people", &name)?;
    let description = ask_or("What it is for, in one sentence", "")?;
    let docs_url = some(ask_or("The provider's page for developers (https://…)", "")?);
    let base_url = some(ask_or("What paths of its API start from (https://…)", "")?);
    let way = loop {
        match &*ask_or("How users connect: oauth2 or keys", "oauth2")? {
            way @ ("oauth2" | "keys") => break way.to_owned(),
            _ => note("Please answer `oauth2` or `keys`."),
        }
    };
    let mut draft = Draft { slug, name, description, docs_url, base_url, ..Draft::default() };
    if way == "keys" {
        let header = ask_or("The header that carries the key", "Authorization")?;
        let usual = if header.eq_ignore_ascii_case("authorization") { "Bearer {key}" } else { "{key}" };
        let value = ask_or("Its value, with {key} for the key", usual)?;
        let verify_path = some(ask_or("A path that answers only to a good key, e.g. `me`", "")?);
        draft.keybased = Some(KeyDraft { header, value, verify_path });
        return Ok(draft);
    }
    let authorize_url = ask_or("Authorize URL", "")?;
    let token_url = ask_or("Token URL", "")?;
    let scopes = ask_or("Scopes to ask for, with spaces between", "")?.split_whitespace().map(str::to_owned).collect();
    let revoke_url = some(ask_or("Revocation URL, empty if there is none", "")?);
    let identity_url = some(ask_or("A path or URL that tells who the user is, empty if there is none", "")?);
    let identity = match &identity_url {
        Some(_) => {
            Some((ask_or("JSON pointer of the user's id there", "/id")?, ask_or("JSON pointer of what people recognise", "/email")?))
        }
        None => None,
    };
    draft.oauth2 = Some(OauthDraft { authorize_url, token_url, scopes, revoke_url, identity_url, identity, ..OauthDraft::default() });
    Ok(draft)
}
