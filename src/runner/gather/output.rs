//! Splits a gather's output into frames. Whatever a login shell, sshd or a probe prints between
//! frames is ignored.

use std::collections::HashMap;

/// What one section printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SectionOutput {
    /// Exit status of the probe.
    pub status: i32,
    /// Its standard output, verbatim.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

impl SectionOutput {
    /// Standard output as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// All complete frames by their index. A frame without its end is left out: half an answer is no
/// answer. So is one that
/// came twice: one of the two is not the script's, and nobody can say which.
///
/// One pass over the output, whatever stands in it: a host that fills it with beginnings costs no
/// more than any other.
pub(super) fn split(marker: &str, output: &[u8]) -> HashMap<usize, SectionOutput> {
    let needle = format!("\n{marker} ");
    let mut frames: HashMap<usize, Option<SectionOutput>> = HashMap::new();
    let mut open: Option<OpenSection> = None;
    let mut from = 0;
    while let Some(found) = find(&output[from..], needle.as_bytes()) {
        let at = from + found;
        let words = at + needle.len();
        let Some(length) = output[words..].iter().position(|byte| *byte == b'\n') else {
            break;
        };
        let line_end = words + length;
        // The line's own end may be the beginning of the next one.
        from = line_end;
        match (MarkerLine::parse(&output[words..line_end]), &mut open) {
            (Some(MarkerLine::Begin(index)), _) => {
                open = Some(OpenSection {
                    index,
                    content: line_end + 1,
                    stdout: None,
                });
            }
            (Some(MarkerLine::End(index, status)), Some(frame))
                if frame.index == index && frame.stdout.is_none() =>
            {
                // The line end before the marker belongs to the frame, so an empty output ends
                // before it begins.
                let stdout = output.get(frame.content..at).unwrap_or_default().to_vec();
                frame.stdout = Some((status, stdout));
                frame.content = line_end + 1;
            }
            (Some(MarkerLine::Done(index)), Some(frame)) if frame.index == index => {
                if let Some((status, stdout)) = frame.stdout.take() {
                    let stderr =
                        String::from_utf8_lossy(output.get(frame.content..at).unwrap_or_default());
                    let whole = SectionOutput {
                        status,
                        stdout,
                        stderr: stderr.trim().to_owned(),
                    };
                    frames
                        .entry(index)
                        .and_modify(|first| *first = None)
                        .or_insert(Some(whole));
                }
                open = None;
            }
            _ => {}
        }
    }
    frames
        .into_iter()
        .filter_map(|(index, frame)| Some((index, frame?)))
        .collect()
}

/// A frame that has begun.
struct OpenSection {
    index: usize,
    /// Where its output, then its standard error, starts.
    content: usize,
    /// Status and output, once they have ended.
    stdout: Option<(i32, Vec<u8>)>,
}

/// A line with the marker.
enum MarkerLine {
    Begin(usize),
    End(usize, i32),
    Done(usize),
}

impl MarkerLine {
    fn parse(words: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(words).ok()?.split(' ');
        let (word, index) = (words.next()?, words.next()?.parse().ok()?);
        match (word, words.next(), words.next()) {
            ("begin", None, None) => Some(Self::Begin(index)),
            ("end", Some(status), None) => Some(Self::End(index, status.parse().ok()?)),
            ("done", None, None) => Some(Self::Done(index)),
            _ => None,
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn frames_keep_bytes_and_ignore_noise() {
        let output = b"Welcome!\n\nM begin 0\na\n\0b\n\nM end 0 0\n\nM done 0\nnoise\n\nM begin 1\n\nM end 1 3\noops\nM done 1\n";
        let frames = split("M", output);
        assert_eq!(
            frames[&0],
            SectionOutput {
                status: 0,
                stdout: b"a\n\0b\n".to_vec(),
                stderr: String::new()
            }
        );
        assert_eq!(
            frames[&1],
            SectionOutput {
                status: 3,
                stdout: Vec::new(),
                stderr: "oops".into()
            }
        );
    }

    #[test]
    fn half_a_frame_is_no_answer() {
        assert!(split("M", b"\nM begin 0\nhalf of it").is_empty());
        assert!(split("M", b"\nM begin 0\nall\nM end 0 0\nbut no done").is_empty());
    }

    #[test]
    fn a_frame_that_comes_twice_is_no_answer() {
        let one = b"\nM begin 0\nmine\nM end 0 0\n\nM done 0\n";
        assert_eq!(split("M", one).len(), 1);
        assert!(split("M", &[&one[..], &one[..]].concat()).is_empty());
        assert!(split("M", &[&one[..], &one[..], &one[..]].concat()).is_empty());
    }

    #[test]
    fn beginnings_without_end_take_no_time() {
        // 8 MB of them: when each was searched through to the end of the output, this took hours.
        let output = b"\nM begin 0".repeat(800_000);
        assert!(split("M", &output).is_empty());
    }
}
