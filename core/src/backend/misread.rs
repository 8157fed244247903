use std::fmt::Display;

/// Begins what a reader says of a value that is larger than it takes.
const TOO_LARGE: &str = "too large: ";

/// What is wrong with a value that was to be read, told by the words of the reader's error. Nothing of the value stands in it but the name of a
/// field: any of it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misread<'a> {
    /// It has a field that there is not.
    Unknown(&'a str),
    /// It lacks a field, or has it twice.
    Needed(&'a str),
    /// It is larger than the reader takes: the limit, in words.
    TooLarge(&'a str),
    /// It holds a value of another type.
    OtherType,
}

impl<'a> Misread<'a> {
    /// Tells it from a reader's words.
    pub fn of(said: &'a str) -> Self {
        let field = || said.split('`').nth(1).filter(|field| field.len() <= 64);
        let needed = ["missing field `", "duplicate field `"].iter().any(|start| said.starts_with(start));
        if let Some(field) = field().filter(|_| said.starts_with("unknown field `")) {
            Self::Unknown(field)
        } else if let Some(field) = field().filter(|_| needed) {
            Self::Needed(field)
        } else {
            said.strip_prefix(TOO_LARGE).map_or(Self::OtherType, Self::TooLarge)
        }
    }
}

/// The error of a language's reader, of a value that is larger than it takes. The limit is repeated to the caller: nothing of the value may
/// stand in it.
pub fn too_large<E: serde::de::Error>(limit: impl Display) -> E {
    E::custom(format_args!("{TOO_LARGE}{limit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s41_a_mistake_is_told_without_the_value() {
        let large: serde::de::value::Error = too_large(format_args!("a value is nested {} deep at most", 128));
        let long = format!("unknown field `{}`", "x".repeat(65));
        for (said, told) in [
            (large.to_string().as_str(), Misread::TooLarge("a value is nested 128 deep at most")),
            ("unknown field `acount`, expected `account`", Misread::Unknown("acount")),
            ("missing field `account`", Misread::Needed("account")),
            ("duplicate field `account`", Misread::Needed("account")),
            ("unknown variant `canary`, expected `a`", Misread::OtherType),
            ("invalid type: string \"too large: canary\", expected u64", Misread::OtherType),
            (long.as_str(), Misread::OtherType),
        ] {
            assert_eq!(Misread::of(said), told, "{said}");
        }
    }
}
