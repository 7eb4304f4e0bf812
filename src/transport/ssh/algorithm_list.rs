//! A user's list of algorithms: plain names, or (ssh_config(5)) a change to the default list: `+`
//! appends names, `^` prepends them, `-` removes patterns. `ssh -G` resolves these against the
//! default list of `ssh`; without the program, they change skep's default list.

use crate::base::{GlobUnit, glob_matches};

/// Returns the wanted names, in order. A sign before the first name applies to the whole list.
pub(super) fn resolved(wished: &[String], offered: &[String]) -> Vec<String> {
    let Some((first, rest)) = wished.split_first() else {
        return Vec::new();
    };
    let Some(sign) = first
        .chars()
        .next()
        .filter(|sign| matches!(sign, '+' | '-' | '^'))
    else {
        return wished.to_vec();
    };
    let named: Vec<String> = std::iter::once(first[1..].to_owned())
        .chain(rest.iter().cloned())
        .collect();
    let other = |list: &[String], than: &[String]| -> Vec<String> {
        list.iter()
            .filter(|name| !than.contains(name))
            .cloned()
            .collect()
    };
    match sign {
        '+' => [offered.to_vec(), other(&named, offered)].concat(),
        '^' => [named.clone(), other(offered, &named)].concat(),
        _ => {
            let goes = |name: &String| {
                named
                    .iter()
                    .any(|pattern| glob_matches(pattern, name, GlobUnit::Byte))
            };
            offered.iter().filter(|name| !goes(name)).cloned().collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn signs_change_the_default_list() {
        let offered = words("a-1,a-2,b");
        for (wished, wanted) in [
            ("c,b", "c,b"),
            ("+c,b", "a-1,a-2,b,c"),
            ("^b,c", "b,c,a-1,a-2"),
            ("-a-*", "b"),
            ("-b,nothing", "a-1,a-2"),
        ] {
            assert_eq!(
                resolved(&words(wished), &offered),
                words(wanted),
                "{wished}"
            );
        }
        assert!(resolved(&words("-*"), &offered).is_empty());
    }
}
