//! Spellings that Docker Engine takes for the same value: a mirror with and without a slash at its
//! end, a registry with and without a scheme, a network with host bits
//! (`ValidateMirror` and `loadInsecureRegistries` of the Engine's `registry/config.go`).

use super::document::JsonValue;

/// Returns true if the Engine takes two elements of a list for the same.
pub(super) fn is_same_element(key: &str, one: &JsonValue, other: &JsonValue) -> bool {
    if one == other {
        return true;
    }
    let (Some(one), Some(other)) = (one.as_text(), other.as_text()) else {
        return false;
    };
    match key {
        "registry-mirrors" => is_same_mirror(one, other),
        "insecure-registries" => is_same_registry(one, other),
        _ => false,
    }
}

/// Returns true if a list has an element that the Engine takes for the same.
pub(super) fn has_element(key: &str, list: &[JsonValue], element: &JsonValue) -> bool {
    list.iter().any(|one| is_same_element(key, one, element))
}

/// Compares the addresses of two mirrors. Scheme and host have no case.
pub(super) fn is_same_mirror(one: &str, other: &str) -> bool {
    let plain = |url: &str| url.trim_end_matches('/').to_ascii_lowercase();
    plain(one) == plain(other)
}

/// Compares two registries or networks of registries.
pub(super) fn is_same_registry(one: &str, other: &str) -> bool {
    let (one, other) = (registry_name(one), registry_name(other));
    let network = |text: &str| text.parse::<ipnet::IpNet>().map(|network| network.trunc());
    one.eq_ignore_ascii_case(other)
        || matches!((network(one), network(other)), (Ok(one), Ok(other)) if one == other)
}

/// Returns the name of a registry without a scheme, which the Engine removes.
pub(super) fn registry_name(text: &str) -> &str {
    let without = |scheme: &str| {
        let start = text.get(..scheme.len())?;
        start
            .eq_ignore_ascii_case(scheme)
            .then(|| &text[scheme.len()..])
    };
    without("http://")
        .or_else(|| without("https://"))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_value_are_the_same() {
        let same = |key: &str, one: &str, other: &str| {
            is_same_element(key, &JsonValue::text(one), &JsonValue::text(other))
        };
        assert!(same(
            "registry-mirrors",
            "https://m.example",
            "https://M.example/"
        ));
        assert!(!same(
            "registry-mirrors",
            "https://m.example",
            "http://m.example"
        ));
        assert!(same("insecure-registries", "http://r:5000", "R:5000"));
        assert!(same("insecure-registries", "10.0.0.5/24", "10.0.0.0/24"));
        assert!(!same("insecure-registries", "r:5000", "r:5001"));
        assert!(!same("dns", "a/", "a"));
    }
}
