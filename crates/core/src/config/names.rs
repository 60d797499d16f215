//! Names in the configuration: which are allowed, how they are shown, and which one was meant.

/// The longest name of a client or an issuer, in characters.
pub(super) const MAX_NAME: usize = 64;

/// What [`is_name`] allows, in words.
pub(super) const NAME_RULE: &str =
    "a name has 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or a digit";

/// Whether a client or an issuer may be called that. Names become file names, keyring items and words on a
/// terminal, hence the narrow alphabet.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// A key as an error shows it. One that is too long to be a name may be anything, a pasted secret too.
pub(super) fn shown(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match key {
        "" => "\"\"".into(),
        long if long.len() > MAX_NAME => "(a long key)".into(),
        bare if bare.chars().all(is_bare) => bare.into(),
        other => format!("{other:?}"),
    }
}

/// A key of a table, both by name. The table without a name is the whole configuration.
pub(super) fn key_path(table: &str, key: &str) -> String {
    match table {
        "" => shown(key),
        _ => format!("{table}.{}", shown(key)),
    }
}

/// The candidate that was probably meant, if one is near.
pub fn nearest<'n>(name: &str, candidates: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (candidate.len() / 2).min(candidate.len().div_ceil(4)).min(4)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A hint at the nearest name, or at all of them.
pub(super) fn suggestion(name: &str, candidates: &[&str]) -> String {
    match nearest(name, candidates.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known here: {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_narrow() {
        for name in ["a", "signtext", "7.b_c-D", &"x".repeat(64)] {
            assert!(is_name(name), "{name}");
        }
        for no_name in ["", ".a", "-a", "_a", "a b", "a/b", "ü", "a\n", &"x".repeat(65)] {
            assert!(!is_name(no_name), "{no_name:?}");
        }
    }

    #[test]
    fn keys_are_shown_as_toml_has_them() {
        assert_eq!(key_path("", "daemon"), "daemon");
        assert_eq!(key_path("clients", "a.b"), "clients.\"a.b\"");
        assert_eq!(key_path("clients", "a\u{1b}[31m"), "clients.\"a\\u{1b}[31m\"");
        assert_eq!(key_path("clients", ""), "clients.\"\"");
        assert_eq!(key_path("clients", &"k".repeat(65)), "clients.(a long key)");
    }

    #[test]
    fn the_nearest_name_is_near() {
        let keys = ["client_id", "issuer", "scope", "auth"];
        assert_eq!(nearest("clientid", keys), Some("client_id"));
        assert_eq!(nearest("Client-ID", keys), Some("client_id"));
        assert_eq!(nearest("sope", keys), Some("scope"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(suggestion("colour", &keys), "known here: client_id, issuer, scope, auth");
    }
}
