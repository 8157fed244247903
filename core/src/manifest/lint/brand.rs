//! How an application looks: colours, contrast, artwork.

use super::{Report, https};
use crate::model::{Brand, ButtonState};

/// Less contrast than this is hard to read (WCAG 2.2, success criterion 1.4.3).
const CONTRAST: f64 = 4.5;

/// Checks a brand. `whole` is false for a project's override, which may leave things out. That there is no icon is no mistake of a
/// manifest, since few licences allow one; the project's lint says so where the application is offered.
pub(crate) fn brand(report: &mut Report<'_>, at: &[&str], brand: &Brand, whole: bool) {
    let path = |keys: &[&'static str]| at.iter().copied().chain(keys.iter().copied()).collect::<Vec<&str>>();
    if let Some(icon) = &brand.icon {
        image(report, &path(&["icon"]), icon);
    }
    match &brand.color {
        Some(text) => _ = color(report, &path(&["color"]), text),
        None if whole => report.warn(&path(&["color"]), "is absent", "add the brand colour as `#rrggbb`"),
        None => {}
    }
    let button = &brand.button;
    if let Some(url) = &button.guidelines_url {
        https(report, &path(&["button", "guidelines_url"]), url);
    }
    if button.mandated && button.guidelines_url.is_none() {
        let cure = "add `guidelines_url`, so that people find the artwork that they must use";
        report.error(&path(&["button", "mandated"]), "names no rules", cure);
    }
    for (name, state) in [("normal", &button.normal), ("hover", &button.hover)] {
        if whole && button.mandated && name == "normal" && state.image.is_none() {
            let cure = "the project supplies the provider's artwork as `apps.<slug>.brand.button.normal.image`";
            report.warn(&path(&["button", "normal", "image"]), "is mandated by the provider and not shipped here", cure);
        }
        self::state(report, &path(&["button", name]), state, whole);
    }
}

fn state(report: &mut Report<'_>, at: &[&str], state: &ButtonState, whole: bool) {
    let path = |key: &'static str| at.iter().copied().chain([key]).collect::<Vec<&str>>();
    if let Some(url) = &state.image {
        image(report, &path("image"), url);
    }
    let background = state.background.as_ref().and_then(|c| color(report, &path("background"), c));
    let foreground = state.foreground.as_ref().and_then(|c| color(report, &path("foreground"), c));
    if let Some(border) = &state.border {
        color(report, &path("border"), border);
    }
    if let (Some(background), Some(foreground)) = (background, foreground) {
        let ratio = contrast(background, foreground);
        if ratio < CONTRAST {
            let message = format!("has a contrast of {ratio:.1} to the background; {CONTRAST} is the least (WCAG 2.2)");
            report.warn(&path("foreground"), message, "make one of them darker or lighter");
        }
    }
    if whole && state.image.is_none() && (state.label.is_none() || state.background.is_none() || state.foreground.is_none()) {
        report.warn(at, "cannot be drawn as it is", "add `label`, `background` and `foreground`, or an `image`");
    }
}

/// An https URL or a picture as a `data:` URI.
fn image(report: &mut Report<'_>, path: &[&str], url: &str) {
    if !url.starts_with("data:image/") {
        https(report, path, url);
    } else if url.len() > 64 * 1024 {
        report.error(path, "is larger than 64 KiB", "use a smaller picture, or an https URL");
    }
}

fn color(report: &mut Report<'_>, path: &[&str], text: &str) -> Option<[u8; 3]> {
    let parsed = text.strip_prefix('#').filter(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let Some(value) = parsed.and_then(|hex| u32::from_str_radix(hex, 16).ok()) else {
        report.error(path, "is not a colour", "write it as `#rrggbb`");
        return None;
    };
    let [_, red, green, blue] = value.to_be_bytes();
    Some([red, green, blue])
}

/// The contrast ratio of two colours, 1 to 21 (WCAG 2.2).
fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(rgb: [u8; 3]) -> f64 {
    let [red, green, blue] = rgb.map(|c| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}
