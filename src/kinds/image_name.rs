//! Checks the name of an image.

use crate::model::InvalidField;

/// Checks that the name of an image has an exact tag or digest.
pub(super) fn check_image(field: &str, image: &str) -> Result<(), InvalidField> {
    let last = image.rsplit('/').next().unwrap_or(image);
    let tag = last
        .split_once('@')
        .map(|(_, digest)| digest)
        .or_else(|| last.split_once(':').map(|(_, tag)| tag));
    let bad = image.is_empty()
        || image.starts_with('-')
        || image.contains(|c: char| c.is_whitespace() || c.is_control());
    match tag {
        _ if bad => Err(InvalidField::new(
            field,
            format!("{image:?} is not the name of an image"),
        )),
        Some(tag) if tag != "latest" && !tag.is_empty() => Ok(()),
        _ => Err(
            InvalidField::new(field, format!("{image} has no exact tag"))
                .hint("for example \"registry:2.8.3\""),
        ),
    }
}
