use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use url::Url;

use crate::plugin::{Fault, PresentRequest, Presenter};

/// How long an opener may take to say that it failed. One that still runs then is taken for the browser itself.
const FAILS_WITHIN: Duration = Duration::from_secs(2);

/// Opens the authorize page in the user's browser: `$BROWSER` if set (a list separated by `:`, `%s` stands for the URL), else
/// the platform's opener. No shell is involved, and only http and https URLs are opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemBrowser;

#[async_trait]
impl Presenter for SystemBrowser {
    fn name(&self) -> &str {
        "system-browser"
    }

    async fn present(&self, request: PresentRequest) -> Result<Option<String>, Fault> {
        let url = checked(&request.authorize_url)?;
        if request.device.is_some() {
            // The page asks for a code, which no page of ours shows.
            super::PrintUrl::to_stderr().present(request.clone()).await?;
        }
        let commands = commands(&url, std::env::var("BROWSER").ok().as_deref(), std::env::consts::OS);
        let opened = crate::runtime::runtime().spawn_blocking(move || commands.iter().any(|command| open(command))).await;
        if opened.unwrap_or(false) {
            return Ok(None);
        }
        Err(Fault::failed("no browser could be opened on this machine; print the URL instead (`PrintUrl`, or `--no-browser`)"))
    }
}

/// The URL in its parsed form, which holds no blanks, quotes or control characters and cannot look like an option.
fn checked(url: &str) -> Result<String, Fault> {
    match Url::parse(url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url.into()),
        _ => Err(Fault::failed("only http and https pages are opened in the browser")),
    }
}

/// What to try, in order; each is a program and its arguments.
fn commands(url: &str, browser: Option<&str>, os: &str) -> Vec<Vec<String>> {
    let with = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).chain([url.to_owned()]).collect::<Vec<_>>();
    let wanted = browser.unwrap_or_default().split(if os == "windows" { ';' } else { ':' }).filter_map(|command| {
        let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return None;
        }
        let mut placed = false;
        for word in &mut words[1..] {
            placed |= word.contains("%s");
            *word = word.replace("%s", url);
        }
        if !placed {
            words.push(url.to_owned());
        }
        Some(words)
    });
    let mut all: Vec<_> = wanted.collect();
    match os {
        "macos" => all.push(with(&["open"])),
        "windows" => all.push(with(&["rundll32", "url.dll,FileProtocolHandler"])),
        _ => all.extend([with(&["xdg-open"]), with(&["gio", "open"]), with(&["x-www-browser"])]),
    }
    all
}

/// Runs one command; whether it seems to have worked.
fn open(command: &[String]) -> bool {
    let Some((program, arguments)) = command.split_first() else { return false };
    let spawned = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    spawned.is_ok_and(worked)
}

fn worked(mut child: Child) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < FAILS_WITHIN {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(_) => return false,
        }
    }
    // It is the browser itself. Somebody must collect its end, or it stays as a zombie.
    let _ = std::thread::Builder::new().name("smalt-browser".to_owned()).spawn(move || child.wait());
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const URL: &str = "https://example.com/authorize?a=b&c=d";

    #[test]
    fn only_web_pages_are_opened() {
        assert_eq!(checked(URL).unwrap(), URL);
        for bad in ["file:///etc/passwd", "javascript:alert(1)", "-version", "calc.exe", "data:text/html,x", "", "http://"] {
            assert!(checked(bad).is_err(), "{bad}");
        }
        assert!(!checked("https://example.com/\"a b'`$(x)").unwrap().contains(['"', ' ']));
    }

    #[test]
    fn each_platform_has_its_opener_and_browser_comes_first() {
        assert_eq!(commands(URL, None, "macos"), [vec!["open", URL]]);
        assert_eq!(commands(URL, Some(""), "windows"), [vec!["rundll32", "url.dll,FileProtocolHandler", URL]]);
        assert_eq!(commands(URL, None, "linux")[0], ["xdg-open", URL]);
        let chosen = commands(URL, Some("firefox --new-window %s:w3m"), "linux");
        assert_eq!(chosen[0], ["firefox", "--new-window", URL]);
        assert_eq!(chosen[1], ["w3m", URL]);
        assert_eq!(chosen[2], ["xdg-open", URL]);
    }

    #[cfg(unix)]
    #[test]
    fn a_failing_opener_is_told_from_a_working_one() {
        assert!(open(&["true".to_owned(), URL.to_owned()]));
        assert!(!open(&["false".to_owned(), URL.to_owned()]));
        assert!(!open(&["smalt-no-such-program".to_owned(), URL.to_owned()]));
    }
}
