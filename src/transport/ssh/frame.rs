//! Cuts a command's own output out of a stream: the output of login shells and sudo comes before a
//! first marker, the output of left-over children after a second marker.

/// Maximum number of bytes kept of the noise before the first marker, to explain a missing marker.
const NOISE_LIMIT: usize = 16 * 1024;

/// A stream that is being cut.
#[derive(Debug)]
pub(super) struct OutputFrame {
    begin: Vec<u8>,
    end: Vec<u8>,
    // Before the first marker: the noise. After it: the body, perhaps followed by a part of the
    // second marker.
    kept: Vec<u8>,
    begun: bool,
    detail: String,
    ended: bool,
    limit: usize,
    overflowed: bool,
    keeps_tail: bool,
}

impl OutputFrame {
    /// Returns the frame of a stream whose body may have at most `limit` bytes.
    pub(super) fn new(begin: &[u8], end: &[u8], limit: usize) -> Self {
        let (begin, end, detail) = (begin.to_vec(), end.to_vec(), String::new());
        let (begun, ended, overflowed, keeps_tail) = (false, false, false, false);
        Self {
            begin,
            end,
            kept: Vec::new(),
            begun,
            detail,
            ended,
            limit,
            overflowed,
            keeps_tail,
        }
    }

    /// Returns the frame of a stream of which the last `limit` bytes are kept.
    pub(super) fn tail(begin: &[u8], end: &[u8], limit: usize) -> Self {
        Self {
            keeps_tail: true,
            ..Self::new(begin, end, limit)
        }
    }

    /// Adds the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.ended || self.overflowed {
            return;
        }
        // A marker may span two pieces.
        let mut from = self.kept.len().saturating_sub(self.end.len());
        self.kept.extend_from_slice(bytes);
        if !self.begun {
            if !self.begin_found() {
                let excess = self.kept.len().saturating_sub(NOISE_LIMIT);
                self.kept.drain(..excess);
                return;
            }
            from = 0;
        }
        if let Some(at) = find(&self.kept, &self.end, from) {
            self.kept.truncate(at);
            self.ended = true;
        }
        let allowed = if self.ended {
            self.limit
        } else {
            self.limit.saturating_add(self.end.len())
        };
        if self.kept.len() > allowed {
            if self.keeps_tail {
                let excess = self.kept.len() - allowed;
                self.kept.drain(..excess);
            } else {
                self.overflowed = true;
            }
        }
    }

    /// Removes everything up to the end of the first marker's line; returns false if that line is
    /// not complete yet.
    fn begin_found(&mut self) -> bool {
        let Some(at) = find(&self.kept, &self.begin, 0) else {
            return false;
        };
        let after = at + self.begin.len();
        let Some(length) = self.kept[after..].iter().position(|byte| *byte == b'\n') else {
            return false;
        };
        self.detail = String::from_utf8_lossy(&self.kept[after..after + length]).into_owned();
        self.kept.drain(..=after + length);
        self.begun = true;
        true
    }

    /// Returns the text after the first marker on its line.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns the body so far; nothing before the first marker. Before the second marker was
    /// found, the end may be a part of it.
    pub(super) fn body_so_far(&self) -> &[u8] {
        if self.begun { &self.kept } else { &[] }
    }

    /// Returns true if the first marker was found.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Returns true if the second marker was found.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Returns true if the body exceeded the limit.
    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Returns the body between the markers, or the noise if the first marker was not found.
    pub(super) fn into_body(mut self) -> Vec<u8> {
        if self.keeps_tail {
            let excess = self.kept.len().saturating_sub(self.limit);
            self.kept.drain(..excess);
        }
        self.kept
    }
}

fn find(text: &[u8], marker: &[u8], from: usize) -> Option<usize> {
    let first = *marker.first()?;
    let mut at = from;
    while at + marker.len() <= text.len() {
        let candidates = &text[at..=text.len() - marker.len()];
        at += candidates.iter().position(|byte| *byte == first)?;
        if text[at..].starts_with(marker) {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_body_does_not_depend_on_the_pieces(
            noise in "[ab]{0,20}", body in "[ab<>\n]{0,60}", rest in "[ab<>]{0,10}", size in 1_usize..9,
        ) {
            prop_assume!(!body.contains("<b>") && !body.contains("<e>"));
            let whole = format!("{noise}<b> 7\n{body}<e>{rest}");
            let mut frame = OutputFrame::new(b"<b>", b"<e>", 1000);
            whole.as_bytes().chunks(size).for_each(|piece| frame.push(piece));
            prop_assert!(frame.begun() && frame.ended() && !frame.overflowed());
            prop_assert_eq!(frame.detail(), " 7");
            prop_assert_eq!(frame.into_body(), body.into_bytes());
        }
    }

    #[test]
    fn limits_fail_or_keep_the_tail() {
        let cut = |text: &str, mut frame: OutputFrame| {
            text.as_bytes()
                .chunks(3)
                .for_each(|piece| frame.push(piece));
            (
                frame.overflowed(),
                String::from_utf8(frame.into_body()).unwrap(),
            )
        };
        assert_eq!(
            cut("<b>\n12345<e>", OutputFrame::new(b"<b>", b"<e>", 5)),
            (false, "12345".into())
        );
        assert!(cut("<b>\n123456<e>", OutputFrame::new(b"<b>", b"<e>", 5)).0);
        assert!(
            cut("<b>\n1234567890", OutputFrame::new(b"<b>", b"<e>", 5)).0,
            "also without an end marker"
        );
        assert_eq!(
            cut("<b>\n1234567890<e>", OutputFrame::tail(b"<b>", b"<e>", 5)),
            (false, "67890".into())
        );
        assert_eq!(
            cut("<b>\n1234567890", OutputFrame::tail(b"<b>", b"<e>", 5)),
            (false, "67890".into())
        );
        assert_eq!(
            cut("only noise", OutputFrame::new(b"<b>", b"<e>", 5)),
            (false, "only noise".into())
        );
    }
}
