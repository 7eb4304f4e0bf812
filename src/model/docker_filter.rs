//! Query strings of Docker API paths: filters of lists, and the escaping of any value.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All characters but the unreserved ones (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Escapes a value for a query string (RFC 3986, 2.1).
#[must_use]
pub fn query_value(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Returns the value of the parameter `filters` of a Docker list, escaped for a query string: a
/// JSON object from each key to the list of its values, as the Docker API documents it. A key may
/// stand only once.
///
/// Docker lists the objects that match every key.
#[must_use]
pub fn docker_filters(filters: &[(&str, &[&str])]) -> String {
    let filters: BTreeMap<_, _> = filters.iter().copied().collect();
    query_value(&serde_json::json!(filters).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_unreserved_characters_are_escaped() {
        for (text, escaped) in [
            ("", ""),
            ("azAZ09-._~", "azAZ09-._~"),
            ("a b+c%d", "a%20b%2Bc%25d"),
            ("host:5000/web@x", "host%3A5000%2Fweb%40x"),
            ("k=v&l#?", "k%3Dv%26l%23%3F"),
            ("é\n\"\0", "%C3%A9%0A%22%00"),
        ] {
            assert_eq!(query_value(text), escaped);
        }
    }

    #[test]
    fn filters_are_lists_by_key() {
        let name = ("name", &["back"][..]);
        assert_eq!(
            docker_filters(&[name]),
            "%7B%22name%22%3A%5B%22back%22%5D%7D"
        );
        let label = ("label", &["skep.name=web", "b"][..]);
        assert_eq!(
            docker_filters(&[label]),
            "%7B%22label%22%3A%5B%22skep.name%3Dweb%22%2C%22b%22%5D%7D"
        );
        assert_eq!(
            docker_filters(&[name, label]),
            docker_filters(&[label, name]),
            "the order of keys does not matter"
        );
        assert_eq!(
            docker_filters(&[label, name]),
            "%7B%22label%22%3A%5B%22skep.name%3Dweb%22%2C%22b%22%5D%2C%22name%22%3A%5B%22back%22%5D%7D"
        );
        assert_eq!(
            docker_filters(&[("name", &["a\"]}&x"])]),
            "%7B%22name%22%3A%5B%22a%5C%22%5D%7D%26x%22%5D%7D",
            "a value cannot end its string or the parameter"
        );
        assert_eq!(docker_filters(&[]), "%7B%7D");
    }
}
