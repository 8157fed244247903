//! Times as providers write them.

use std::time::Duration;

use crate::{
    manifest::{ExpiresUnit, RateLimit},
    model::Json,
    time::Timestamp,
};

/// No token is believed to live longer than this: 10 years, in seconds.
const LONGEST_LIFE: f64 = 10.0 * 365.25 * 86_400.0;
/// No provider can silence calls for longer than this: one day.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// How long a token lives, as `expires_in` says (RFC 6749 section 5.1: seconds).
///
/// Numbers, fractions and numbers in strings are taken. Nothing, nonsense, zero and negative numbers mean *unknown*:
/// such a token is used until the provider refuses it, rather than renewed without end. More than ten years is taken for
/// a point in time, in seconds or milliseconds since 1970, when that lies in the next ten years; else it is ten years.
pub(super) fn lifetime(value: Option<&Json>, now: Timestamp) -> Option<Duration> {
    let seconds = match value? {
        Json::Number(number) => number.as_f64()?,
        Json::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if !seconds.is_finite() || seconds < 1.0 {
        return None;
    }
    #[allow(clippy::cast_precision_loss)]
    let today = now.millis() as f64 / 1000.0;
    let life = [seconds, seconds - today, seconds / 1000.0 - today].into_iter().find(|life| (1.0..=LONGEST_LIFE).contains(life));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 1 and ten years
    Some(Duration::from_secs(life.unwrap_or(LONGEST_LIFE) as u64))
}

/// How long a token lives, where the manifest says how its provider writes that. What cannot be so means *unknown*.
pub(super) fn lifetime_in(unit: ExpiresUnit, value: Option<&Json>, now: Timestamp) -> Option<Duration> {
    let number = |scale: f64| {
        let number = match value? {
            Json::Number(number) => number.as_f64()?,
            Json::String(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        Some(number * scale)
    };
    #[allow(clippy::cast_precision_loss)]
    let today = now.millis() as f64 / 1000.0;
    let seconds = match unit {
        ExpiresUnit::Auto => return lifetime(value, now),
        ExpiresUnit::Seconds => number(1.0)?,
        ExpiresUnit::Minutes => number(60.0)?,
        ExpiresUnit::Milliseconds => number(0.001)?,
        ExpiresUnit::AtSeconds => number(1.0)? - today,
        ExpiresUnit::AtMilliseconds => number(0.001)? - today,
        #[allow(clippy::cast_precision_loss)]
        ExpiresUnit::AtDate => date(value?.as_str()?)?.millis() as f64 / 1000.0 - today,
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 1 and ten years
    (seconds.is_finite() && seconds >= 1.0).then(|| Duration::from_secs(seconds.min(LONGEST_LIFE) as u64))
}

/// RFC 3339; without a zone UTC is meant, and fractions of a second may be missing.
fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim().replacen(' ', "T", 1);
    let (date, time) = text.split_once(['T', 't'])?;
    let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let clock = if clock.len() == 5 { format!("{clock}:00") } else { clock.to_owned() };
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    let utc: Timestamp = format!("{date}T{clock}.{millis}Z").parse().ok()?;
    let offset: i64 = match zone {
        "" | "Z" | "z" => 0,
        zone => {
            let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
            let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i64>().ok();
            let minutes = number(0..2)? * 60 + number(2..4).unwrap_or(0);
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    Some(Timestamp::from_millis(utc.millis().checked_sub(offset * 60_000)?))
}

/// How long the provider asks to wait: the manifest's header (default `retry-after`) in seconds or as an HTTP date
/// (RFC 9110 section 10.2.3), else the manifest's `reset_at` header in seconds (or milliseconds) since 1970. At most a day.
pub fn retry_after(headers: &[(String, String)], rate_limit: &RateLimit, now: Timestamp) -> Option<Duration> {
    let header = |name: &str| headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
    let stated = header(rate_limit.retry_after.as_deref().unwrap_or("retry-after")).and_then(|text| match number(text) {
        Some(seconds) => Some(wait(seconds)),
        None => http_date(text).map(|date| date.since(now)),
    });
    let reset = || {
        let at = number(header(rate_limit.reset_at.as_deref()?)?)?;
        #[allow(clippy::cast_precision_loss)]
        let today = now.millis() as f64 / 1000.0;
        Some(wait(if at > 1e11 { at / 1000.0 } else { at } - today))
    };
    stated.or_else(reset).map(|wait| wait.min(LONGEST_WAIT))
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

fn wait(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_WAIT.as_secs_f64()))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that may be sent today (RFC 9110 section 5.6.7).
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_once(", ")?.1.split(' ');
    let (day, month, year, time, zone) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|m| *m == month)? + 1;
    if zone != "GMT" || parts.next().is_some() {
        return None;
    }
    format!("{year}-{month:02}-{day}T{time}.000Z").parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn r27_lifetimes_are_sane() {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let longest = Some(LONGEST_LIFE as u64);
        for (value, seconds) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(" 59 "), Some(59)),
            (json!(3599.9), Some(3599)),
            (json!("1e3"), Some(1000)),
            (json!(5_184_000), Some(5_184_000)),
            (json!(0), None),
            (json!("0"), None),
            (json!(0.4), None),
            (json!(-1), None),
            (json!("-5"), None),
            (json!(1e12), longest),
            (json!(1e300), longest),
            (json!(u64::MAX), longest),
            (json!("inf"), None),
            (json!("NaN"), None),
            (json!(""), None),
            (json!("soon"), None),
            (json!(null), None),
            (json!(true), None),
            (json!([3600]), None),
            (json!(1_800_003_600u64), Some(3600)),
            (json!(1_800_003_600_000u64), Some(3600)),
            (json!(1_799_999_000u64), longest),
        ] {
            assert_eq!(lifetime(Some(&value), NOW).map(|d| d.as_secs()), seconds, "{value}");
        }
        assert_eq!(lifetime(None, NOW), None);
    }

    #[test]
    fn r27_lifetimes_have_the_unit_that_the_manifest_states() {
        use ExpiresUnit::{AtDate, AtMilliseconds, AtSeconds, Milliseconds, Minutes, Seconds};
        // NOW is 2027-01-15T08:00:00Z.
        for (unit, value, seconds) in [
            (Seconds, json!(3600), Some(3600)),
            (Seconds, json!(0), None),
            (Minutes, json!("90"), Some(5400)),
            (Milliseconds, json!(3_600_000), Some(3600)),
            (Milliseconds, json!(-1), None),
            (AtSeconds, json!(1_800_000_060u64), Some(60)),
            (AtSeconds, json!(3600), None),
            (AtMilliseconds, json!("1800000060000"), Some(60)),
            (AtDate, json!("2027-01-15T08:01:00Z"), Some(60)),
            (AtDate, json!("2027-01-15T09:01:00.5+01:00"), Some(60)),
            (AtDate, json!("2027-01-15 08:01:00"), Some(60)),
            (AtDate, json!("2027-01-15T03:01:00-0500"), Some(60)),
            (AtDate, json!("2027-01-15T07:59:00Z"), None),
            (AtDate, json!("tomorrow"), None),
            (AtDate, json!(60), None),
            (AtSeconds, json!("soon"), None),
        ] {
            assert_eq!(lifetime_in(unit, Some(&value), NOW).map(|d| d.as_secs()), seconds, "{unit:?} {value}");
        }
        assert_eq!(lifetime_in(Minutes, None, NOW), None);
    }

    #[test]
    fn waits_as_long_as_asked() {
        let limit = RateLimit { reset_at: Some("X-Reset".to_owned()), ..RateLimit::default() };
        for (name, value, seconds) in [
            ("Retry-After", "120", Some(120.0)),
            ("retry-after", " 0.5 ", Some(0.5)),
            ("retry-after", "-3", Some(0.0)),
            ("retry-after", "99999999999", Some(86_400.0)),
            ("retry-after", "Fri, 15 Jan 2027 08:00:30 GMT", Some(30.0)),
            ("retry-after", "Fri, 15 Jan 2027 07:00:00 GMT", Some(0.0)),
            ("retry-after", "Fri, 15 Jan 2100 08:00:30 GMT", Some(86_400.0)),
            ("retry-after", "soon", None),
            ("retry-after", "inf", None),
            ("x-reset", "1800000045", Some(45.0)),
            ("x-reset", "1800000045000", Some(45.0)),
            ("x-reset", "1", Some(0.0)),
            ("x-other", "5", None),
        ] {
            let headers = [(name.to_owned(), value.to_owned())];
            assert_eq!(retry_after(&headers, &limit, NOW).map(|d| d.as_secs_f64()), seconds, "{name}: {value}");
        }
        let named = RateLimit { retry_after: Some("x-wait".to_owned()), ..RateLimit::default() };
        let headers = [("retry-after".to_owned(), "9".to_owned()), ("x-wait".to_owned(), "7".to_owned())];
        assert_eq!(retry_after(&headers, &named, NOW), Some(Duration::from_secs(7)));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,40}", ms in proptest::num::i64::ANY, n in proptest::num::f64::ANY) {
            let now = Timestamp::from_millis(ms);
            let _ = http_date(&text);
            let _ = lifetime(Some(&Json::from(text.clone())), now);
            let _ = lifetime(Some(&Json::from(n)), now);
            let _ = lifetime_in(ExpiresUnit::AtDate, Some(&Json::from(text.clone())), now);
            let limit = RateLimit { reset_at: Some("b".to_owned()), ..RateLimit::default() };
            let _ = retry_after(&[("retry-after".to_owned(), text.clone())], &limit, now);
            let _ = retry_after(&[("b".to_owned(), n.to_string())], &limit, now);
        }
    }
}
